"""Whether a place can be written, asked before anything is read or computed. Nothing is left behind."""

import os
from pathlib import Path

PROBE = bytes(4096)  # a full disk still takes an empty file


def folder_refusal(folder: Path) -> str | None:
    """Return why no file can be written into `folder`, which need not exist yet; None if one can."""
    import tempfile  # which costs every start, --cfg job included

    place = folder.absolute()
    try:
        while not place.exists():
            if place.is_symlink():
                return f"{place} is a broken link"
            place = place.parent
        if not place.is_dir():
            return f"{place} is not a directory"
        if max(len(os.fsencode(part)) for part in folder.absolute().parts) > os.pathconf(place, "PC_NAME_MAX"):
            return "a name in it is too long"
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(PROBE)
            probe.flush()
    except OSError as error:
        return f"{place} takes no files: {error.strerror or error}"
    return None


def file_refusal(file: Path, *, makes_parents: bool = False) -> str | None:
    """Return why `file` can't be written or replaced; None if it can.

    A device or a pipe is taken as it is. `makes_parents`: missing directories above it will be made.
    """
    try:
        if file.is_dir():
            return "it is a directory"
        if file.exists() and not file.is_file():
            return None
        if file.exists():
            with file.open("r+b"):
                pass
        elif not makes_parents and not file.parent.exists():
            return f"{file.parent} does not exist"
    except OSError as error:
        return error.strerror or str(error)
    return folder_refusal(file.parent)
