"""The lock of a sweep's submissions."""

from collections.abc import Iterator
from contextlib import contextmanager

from hma_ft.errors import UserError
from hma_ft.files.waiting_lock import waiting_lock
from hma_ft.launch.sweep import Sweep

SUBMIT_SECONDS = 600.0  # of another shell: freezing the trials and handing them over


@contextmanager
def one_at_a_time(sweep: Sweep) -> Iterator[None]:
    """Two shells with one command submit one after the other. Raises UserError after SUBMIT_SECONDS."""
    try:
        with waiting_lock(sweep.directory / "submit.lock", seconds=SUBMIT_SECONDS, waiting_for="another submission"):
            yield
    except TimeoutError as error:
        raise UserError(
            f"another process has been submitting {sweep.directory.name} for {SUBMIT_SECONDS / 60:.0f} minutes: end "
            "it, or wait for it, and give the same command again"
        ) from error
