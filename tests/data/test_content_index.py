"""Digests of files: right after every way of replacing a file, read once, and never the reason that a run fails."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hma_ft.data import content_index
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.digests import file_digest

OLD, NEW = b"the old content", b"the new content"


def expected(*files: Path) -> list[str]:
    return [hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest() for file in files]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ContentIndex:
    """An index that remembers files of any age: those of a test are young."""
    monkeypatch.setattr(content_index, "_SETTLED_NS", 0)
    return ContentIndex(tmp_path / "runs" / "content.sqlite")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read."""
    names: list[str] = []

    def counted(path: str) -> str:
        names.append(path)
        return file_digest(path)

    monkeypatch.setattr(content_index, "file_digest", counted)
    return names


def test_an_unchanged_file_is_read_once(file: Path, index: ContentIndex, reads: list[str]) -> None:
    other = file.with_name("b.jpg")
    other.write_bytes(b"x" * 3_000_000)
    for again in (index, ContentIndex(index.path), pickle.loads(pickle.dumps(index))):
        assert again.digests([file, other, file]) == expected(file, other, file)
    assert sorted(reads) == [str(file), str(other)]
    assert ContentIndex().digests([file]) == expected(file)
    assert len(reads) == 3


def copied_over(file: Path) -> None:
    source = file.with_name("source")
    source.write_bytes(NEW)
    shutil.copyfile(source, file)


def in_place_with_its_time_restored(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(NEW)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def as_rsync_does(file: Path) -> None:
    before = file.stat()
    source = file.with_name(".a.jpg.tmp")
    source.write_bytes(NEW)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    source.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def a_link_to_another_file(file: Path) -> None:
    before = file.stat()
    target = file.with_name("target")
    target.write_bytes(NEW)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    file.unlink()
    file.symlink_to(target)


@pytest.mark.parametrize(
    "replace", [copied_over, in_place_with_its_time_restored, as_rsync_does, a_link_to_another_file]
)
def test_a_replaced_file_is_read_again(file: Path, index: ContentIndex, replace: Callable[[Path], None]) -> None:
    assert index.digests([file]) == expected(file)
    replace(file)
    assert file.read_bytes() == NEW
    assert index.digests([file]) == expected(file)


def test_what_no_time_tells_is_found_by_reading_again(
    file: Path, index: ContentIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_index, "file_stamp", lambda name: "the same")  # a file system without times
    old = index.digests([file])
    file.write_bytes(NEW)
    assert index.digests([file]) == old
    with pytest.warns(UserWarning, match=r"1 files have other content .* such as .*a\.jpg"):
        assert ContentIndex(index.path, verify=True).digests([file]) == expected(file)
    assert index.digests([file]) == expected(file)


def test_a_file_that_may_still_change_unseen_is_not_remembered(tmp_path: Path, file: Path, reads: list[str]) -> None:
    index = ContentIndex(tmp_path / "content.sqlite")
    for _ in range(2):
        assert index.digests([file]) == expected(file)
    assert len(reads) == 2


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_damaged_index_is_made_anew(file: Path, index: ContentIndex, content: bytes, reads: list[str]) -> None:
    assert index.path is not None
    path = index.path
    index.digests([file])
    path.write_bytes(content)
    if content:
        with pytest.warns(UserWarning, match=r"content\.sqlite can't be used .* made anew"):
            assert index.digests([file]) == expected(file)
    else:
        assert index.digests([file]) == expected(file)
    assert len(reads) == 2
    assert ContentIndex(path).digests([file]) == expected(file)
    assert len(reads) == 2


def test_an_index_that_cannot_be_written_is_a_warning(tmp_path: Path, file: Path, index: ContentIndex) -> None:
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "content.sqlite", tmp_path / "images"):
        with pytest.warns(UserWarning, match="can't be used .* read again"):
            assert ContentIndex(path).digests([file]) == expected(file)


def test_an_index_that_another_process_holds_is_a_warning(
    file: Path, index: ContentIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3
    from contextlib import closing

    assert index.path is not None
    index.digests([file])
    monkeypatch.setattr(content_index, "_BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(index.path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.warns(UserWarning, match="locked"):
            assert index.digests([file]) == expected(file)


def test_a_file_that_cannot_be_read_has_a_digest_of_its_own(file: Path, index: ContentIndex) -> None:
    missing = [file.with_name("missing"), file.with_name("missing, too"), file.parent]
    digests = index.digests([file, *missing])
    assert len(set(digests)) == 4
    missing[0].write_bytes(OLD)
    assert index.digests([missing[0]]) == expected(file)


def test_names_that_are_no_utf8(file: Path, index: ContentIndex, reads: list[str]) -> None:
    odd = Path(os.fsdecode(os.fsencode(file.parent) + b"/\xff.jpg"))
    odd.write_bytes(NEW)
    for _ in range(2):
        assert index.digests([odd]) == expected(odd)
    assert len(reads) == 1


def test_many_processes_share_one_index(tmp_path: Path, repository: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(300)]
    for number, path in enumerate(files):
        path.write_bytes(str(number).encode())
    program = (
        "import sys, warnings\n"
        "from pathlib import Path\n"
        "from hma_ft.data import content_index\n"
        "warnings.simplefilter('error')\n"
        "content_index._SETTLED_NS = 0\n"
        f"files = [Path({str(tmp_path)!r}) / f'{{number}}.png' for number in range(300)]\n"
        "for first in range(0, 300, 20):\n"
        f"    index = content_index.ContentIndex(Path({str(tmp_path / 'content.sqlite')!r}))\n"
        "    digests = index.digests(files[first:] + files[:first])\n"
        "print(digests[0])\n"
    )
    command = [sys.executable, "-c", program]
    running = [
        subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outputs = [process.communicate(timeout=120) for process in running]
    assert {out for out, _ in outputs} == {f"{expected(files[280])[0]}\n"}, outputs
    assert ContentIndex(tmp_path / "content.sqlite").digests(files) == expected(*files)
