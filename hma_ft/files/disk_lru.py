"""Folders that share a bound on disk: the least recently used ones make room."""

import os
import shutil
from pathlib import Path


def make_room(root: Path, own: Path, limit: int) -> int:
    """Remove the least recently used folders of `root` other than `own` until all fit `limit` bytes.

    Returns the bytes that are left. The time of last use is the folder's own: whoever uses one sets it.
    """
    used = {folder: found for folder in root.iterdir() if (found := _time_and_size(folder)) is not None}
    left = sum(size for _, size in used.values())
    for folder in sorted(used, key=lambda folder: used[folder][0]):
        if left <= limit:
            break
        if folder != own:
            shutil.rmtree(folder, ignore_errors=True)
            left -= used[folder][1]
    return left


def _time_and_size(folder: Path) -> tuple[float, int] | None:
    """Time of last use and bytes of a folder; None if it is not a folder, or gone.

    Others write to the root and make room in it meanwhile.
    """
    try:
        with os.scandir(folder) as entries:
            return folder.stat().st_mtime, sum(_size(entry) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _size(entry: os.DirEntry[str]) -> int:
    """A temporary file may have got its name since it was listed."""
    try:
        return entry.stat().st_size if entry.is_file() else 0
    except FileNotFoundError:
        return 0
