"""Folders that share a bound on disk: the least recently used ones make room."""

import os
import shutil
from pathlib import Path


def make_room(root: Path, own: Path, limit: int) -> int:
    """Remove the least recently used folders of `root` other than `own` until all fit `limit` bytes.

    Returns the bytes that are left. The time of last use is the folder's own: whoever uses one sets it.
    """
    used = {folder: (folder.stat().st_mtime, _size(folder)) for folder in root.iterdir() if folder.is_dir()}
    left = sum(size for _, size in used.values())
    for folder in sorted(used, key=lambda folder: used[folder][0]):
        if left <= limit:
            break
        if folder != own:
            shutil.rmtree(folder, ignore_errors=True)
            left -= used[folder][1]
    return left


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
