"""Files that are either the old or the new version, never half of one."""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hma_ft.errors import UserError

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_IN_THE_MAKING = 60.0  # seconds


@contextmanager
def translate_os_errors(place: Path | str) -> Iterator[None]:
    """Inside, what a full or read-only disk refuses becomes a UserError that says so.

    `place`: what is written to, where the error itself doesn't tell.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise UserError(
            f"{error.filename or place} can't be written ({error.strerror}): make room and give the same command again"
        ) from error


def write_atomic(path: Path, content: str | bytes | Callable[[BinaryIO], None], *, durable: bool = False) -> None:
    """Replaces `path` in one step; a process killed here leaves the old version, and a file for `remove_leftovers`.

    Several processes may write the same file at the same time: it becomes what one of them wrote.

    `content` may be a function that writes into an open binary file. `durable` waits until the disk has it, which
    also survives a power cut and costs some milliseconds. Raises OSError (disk full, no permission); `path` is then as
    before.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")  # process ids repeat among hosts
    try:
        with open(temporary, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of killed processes; those of the last minute may be in the making."""
    for leftover in directory.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _IN_THE_MAKING:
                leftover.unlink()
