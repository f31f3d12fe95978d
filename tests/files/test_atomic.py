"""Files that are whole, whoever writes them and whenever he is killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hma_ft.files.atomic import remove_leftovers, write_atomic

WRITER = """
import sys
from pathlib import Path
from hma_ft.files.atomic import write_atomic
for _ in range(2000):
    write_atomic(Path(sys.argv[1]), sys.argv[2] * 5000)
"""


def test_processes_that_write_the_same_file_do_not_stumble_over_each_other(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "abc"]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert path.read_text() in {letter * 5000 for letter in "abc"}
            reads += 1
    assert reads > 10
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_version_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_atomic(path, "old")

    def fail(_: object) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        write_atomic(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_processes_left_goes_and_what_is_in_the_making_stays(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".status.json-1.tmp", ".status.json-2.tmp", "status.json"))
    for path in (old, young, other):
        path.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, other])
