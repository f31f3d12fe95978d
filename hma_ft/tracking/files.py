"""Files that are either the old or the new version, never half of one."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hma_ft.errors import UserError

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def refusals_explained(directory: Path) -> Iterator[None]:
    """Inside, what a full or read-only disk refuses becomes a UserError that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise UserError(
            f"{error.filename or directory} can't be written ({error.strerror}); what {directory} holds is intact: "
            "make room and give the same command again to continue"
        ) from error


def write_atomic(path: Path, content: str | bytes | Callable[[BinaryIO], None], *, durable: bool = False) -> None:
    """Replaces `path` in one step; a process killed here leaves the old version.

    `content` may be a function that writes into an open binary file. `durable` waits until the disk has it, which
    also survives a power cut and costs some milliseconds. Raises OSError (disk full, no permission); `path` is then as
    before.
    """
    temporary = path.with_name(f".{path.name}.tmp")
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
