"""A lock on a file that is waited for; the operating system's, so that a process that dies has lost it."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP)  # ENOSYS is filelock's own


@contextmanager
def waiting_lock(path: Path, *, seconds: float, waiting_for: str = "") -> Iterator[None]:
    """Hold the lock file `path`, waiting for another holder at most `seconds`; say so once if told what for.

    Where the file system has no locks, there is none. Raises TimeoutError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        _acquire(lock, path, seconds, waiting_for)
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path, seconds: float, waiting_for: str) -> None:
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting_for:
                print(f"waiting for {waiting_for} ({path})", file=sys.stderr, flush=True)
            lock.acquire(timeout=seconds)
    except Timeout as error:
        raise TimeoutError(f"{path} is held by another process since {seconds:.0f} s") from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
