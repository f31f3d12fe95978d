"""Errors of torch and of the system that say that the machine has run out of something, as one line each."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hma_ft.errors import UserError

_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory", "Unable to allocate")
_LOADER = ("DataLoader worker", "insufficient shared memory", "unable to open shared memory")


def shortage(error: BaseException) -> str | None:
    """Return what the machine lacks, and what helps; None for any other error."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _LOADER):
        return (
            f"a loader process died ({said}): it ran out of memory, or of shared memory (/dev/shm; docker run "
            "--shm-size); lower trainer.num_workers or trainer.batch_size"
        )
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(sign in str(error) for sign in _MEMORY)
    ):
        return (
            f"out of memory ({said}): lower trainer.batch_size or trainer.eval_batch_size (trainer.grad_accumulation "
            "keeps the batch), or try trainer.precision=bf16 or trainer.grad_checkpointing=true"
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many open files: raise the limit (ulimit -n 4096) or lower trainer.num_workers"
    return None


@contextmanager
def shortages_explained() -> Iterator[None]:
    """Inside, such errors become a UserError."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        lacking = shortage(error)
        if lacking is None:
            raise
        raise UserError(lacking) from error
