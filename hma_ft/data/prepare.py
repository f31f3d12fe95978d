"""Making sure that a data set is there, once, whoever asks."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.splits import create_source
from hma_ft.errors import UserError


def ensure_present(config: DatasetConfig) -> None:
    """Fetch what is missing under a lock; with `download=false` a UserError says by which command."""
    source = create_source(config)
    if source.is_present():
        return
    if not config.download:
        source.splits()  # raises, and says what is missing
    with download_lock(Path(config.root)):
        if not source.is_present():  # another process may have fetched it meanwhile
            print(f"{config.name} is not complete below {config.root}: fetching it", flush=True)
            source.download()


@contextmanager
def download_lock(root: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"dataset.root={root} can't be made ({error.strerror}): give a folder that you may write"
        ) from error
    with (root / ".download.lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield
