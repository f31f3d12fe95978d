"""Names of files and folders as text that every encoding, JSON and console can take; things in words."""

import os
from collections.abc import Sequence
from pathlib import Path


def printable(path: Path | str) -> str:
    """A path as text; bytes that are no UTF-8 are shown as escapes (`caf\\xe9`)."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def counted(number: int, thing: str) -> str:
    """A number of things: `1 image`, `2 images`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def enumerated(things: Sequence[str]) -> str:
    """Things in a sentence: `train`, `train and val`, `train, val and test`. Raises IndexError where there are none."""
    return " and ".join(filter(None, [", ".join(things[:-1]), things[-1]]))
