"""The lock of a run, held by the operating system: a process that dies has lost its own. Nobody waits for it."""

import errno
import fcntl
import json
import logging
import os
import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from hma_ft.errors import UserError
from hma_ft.rundir.status import now

# POSIX locks (lockf), not flock: loader workers do not inherit them, so a killed run's lock is free at once, and NFS
# has them. Their price: closing any handle of the file drops the lock of this process, hence the book of what it holds.
_held: set[Path] = set()
_BUSY = (errno.EACCES, errno.EAGAIN)
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class RunLock:
    """`with RunLock(directory):` nobody else trains this run. Raises UserError that says who does (host, pid)."""

    def __init__(self, directory: Path) -> None:
        self.path = (directory / "lock").resolve()
        self._handle = -1

    def __enter__(self) -> Self:
        if self.path in _held:
            raise UserError(f"{self.path.parent} is already being run by this process (pid {os.getpid()})")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(handle)
        except BaseException:
            os.close(handle)
            raise
        content = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now()}) + "\n"
        os.ftruncate(handle, 0)
        os.pwrite(handle, content.encode(), 0)
        self._handle = handle
        _held.add(self.path)
        return self

    def _take(self, handle: int) -> None:
        for attempt in range(5):  # `is_held` may have it for an instant
            try:
                return fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _UNSUPPORTED:
                    logging.getLogger(__name__).warning(
                        "%s: this file system has no locks; a second process on this run would not be noticed",
                        self.path,
                    )
                    return None
                if error.errno not in _BUSY:
                    raise
                if attempt < 4:
                    time.sleep(0.1)
        raise UserError(
            f"{self.path.parent} is being run by {_holder(handle)}; wait for it, stop it, or choose another runs_dir"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _held.discard(self.path)
        os.close(self._handle)  # which unlocks; the file stays, since removing it would race with the next holder


def _holder(handle: int) -> str:
    try:
        who = json.loads(os.pread(handle, 4096, 0))
        return f"process {who['pid']} on {who['host']} (since {who['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


def is_held(directory: Path) -> bool:
    """Whether a living process trains the run of this directory."""
    path = (directory / "lock").resolve()
    if path in _held:
        return True
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _BUSY
    finally:
        os.close(handle)
    return False
