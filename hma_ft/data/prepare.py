"""Making sure that a data set is there, once, whoever asks."""

import errno
import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.splits import create_dataset_builder
from hma_ft.errors import UserError
from hma_ft.files.writable import folder_refusal


def ensure_present(config: DatasetConfig) -> None:
    """Fetch what is missing under a lock; with `download=false` a UserError says by which command."""
    source = create_dataset_builder(config)
    if source.is_present():
        return
    if not config.download:
        source.splits()  # raises, and says what is missing
    with download_lock(Path(config.root), waiting_for=f"another process to finish fetching {config.name}"):
        if not source.is_present():  # another process may have fetched it meanwhile
            print(f"{config.name} is not complete below {config.root}: fetching it", flush=True)
            source.download()


@contextmanager
def download_lock(root: Path, *, waiting_for: str) -> Iterator[None]:
    """One process at a time; the others say what they wait for, as long as it takes.

    Raises:
        UserError: a root that can't be written.
    """
    reason = folder_refusal(root)
    if reason:
        raise UserError(f"dataset.root={root} can't be written ({reason}): give a directory that you may write")
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".download.lock").open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            print(f"waiting for {waiting_for} below {root}", file=sys.stderr, flush=True)
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield
