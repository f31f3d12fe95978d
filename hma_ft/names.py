"""Names of files and folders as text that every encoding, JSON and console can take; numbers of things."""

import os
from pathlib import Path


def printable(path: Path | str) -> str:
    """A path as text; bytes that are no UTF-8 are shown as escapes (`caf\\xe9`)."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def counted(number: int, thing: str) -> str:
    """A number of things: `1 image`, `2 images`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
