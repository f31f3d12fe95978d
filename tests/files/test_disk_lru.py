"""Folders that share a bound: who goes first, and others that write meanwhile."""

import multiprocessing
import os
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from hma_ft.files.atomic import write_atomic
from hma_ft.files.disk_lru import make_room


def fill(folder: Path, size: int, age: float = 0.0) -> Path:
    folder.mkdir(parents=True)
    (folder / "content").write_bytes(b"0" * size)
    os.utime(folder, (time.time() - age, time.time() - age))
    return folder


def test_the_least_recently_used_make_room_and_ones_own_stays(tmp_path: Path) -> None:
    own, old, new = fill(tmp_path / "own", 500, 900), fill(tmp_path / "old", 300, 600), fill(tmp_path / "new", 200, 10)
    (tmp_path / "file").write_bytes(b"0" * 5000)  # what is no folder does not count
    assert make_room(tmp_path, own, 1000) == 1000
    assert make_room(tmp_path, own, 700) == 700
    assert own.exists() and new.exists() and not old.exists()
    assert make_room(tmp_path, own, 100) == 500


def write_and_remove(folder: Path, stop: Event) -> None:
    """Temporary files come and go, and so do folders."""
    while not stop.is_set():
        for number in range(20):
            write_atomic(folder / f"step-{number}", b"0" * 10)
            other = folder.parent / f"other-{number}"
            other.mkdir(exist_ok=True)
            other.rmdir()


def test_others_may_write_meanwhile(tmp_path: Path) -> None:
    own = fill(tmp_path / "own", 10)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    writer = context.Process(target=write_and_remove, args=(own, stop))
    writer.start()
    try:
        while not (own / "step-19").exists():
            assert writer.is_alive()
            time.sleep(0.01)
        for _ in range(3000):
            assert make_room(tmp_path, own, 10**9) >= 10
    finally:
        stop.set()
        writer.join()
