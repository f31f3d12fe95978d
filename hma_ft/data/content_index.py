"""Digests of image files, remembered in a small SQLite file, so that an unchanged file is read once.

A file counts as unchanged while its size, its times of modification and of change (ctime) and its inode are those at
which it was read. The ctime can't be set back, so a file that was replaced in place with its size and time restored is
noticed too; `verify` reads every file again, for file systems that keep no ctime. The index is only a memory: where it
is damaged or can't be written, a warning says so, and the files are read.
"""

import os
import sqlite3
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple, Self

from hma_ft.data.digests import bytes_digest, file_digest

FILE_NAME = "content.sqlite"  # below runs_dir
_THREADS = 16  # a shared file system answers many at once
_BUSY_SECONDS = 30.0  # that another process may hold the file
_SETTLED_NS = 2_000_000_000  # a younger file may change again without a new time: file systems count in coarse ticks
_ATTEMPTS = 3
_TABLE = "blake2b_16"  # named by what the digests are, so that another kind would not be read as this one


class _Read(NamedTuple):
    """One file as it was read."""

    digest: str
    stamp: str | None  # None: not to be remembered


class ContentIndex:
    """Digests of files by their paths. Any number of processes may use one index at once."""

    def __init__(self, path: Path | None = None, *, verify: bool = False) -> None:
        """`path` is the SQLite file (None: nothing is remembered); `verify` reads every file again."""
        self.path = path
        self.verify = verify

    @classmethod
    def beside_runs(cls, runs_dir: str, *, verify: bool = False) -> Self:
        """Open the index that all runs of a folder share."""
        return cls(Path(runs_dir) / FILE_NAME, verify=verify)

    @property
    def knows_files(self) -> bool:
        """Whether an earlier run left anything to remember."""
        return self.path is not None and self.path.is_file()

    def digests(self, files: Sequence[Path]) -> list[str]:
        """Return the digest of every file's content, in order.

        A file that can't be read gets a digest of its own: reading the image will tell what is wrong with it.
        """
        names = [os.path.abspath(file) for file in files]
        remembered = self._load(names)
        unread = [
            name
            for name in dict.fromkeys(names)
            if self.verify or name not in remembered or remembered[name].stamp != file_stamp(name)
        ]
        with ThreadPoolExecutor(_THREADS) as pool:
            read = dict(zip(unread, pool.map(_read, unread), strict=True))
        _warn_of_hidden_changes(remembered, read)
        self._save(read)
        return [(read.get(name) or remembered[name]).digest for name in names]

    def _load(self, names: Sequence[str]) -> dict[str, _Read]:
        """What is remembered of the files, whether or not it still holds."""
        if not self.knows_files:
            return {}
        found = {}
        try:
            with closing(self._connect()) as database:
                for name in names:
                    row = database.execute(
                        f"SELECT digest, stamp FROM {_TABLE} WHERE path = ?", (os.fsencode(name),)
                    ).fetchone()
                    if row is not None:
                        found[name] = _Read(*row)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
            return {}
        return found

    def _save(self, read: dict[str, _Read]) -> None:
        """Remember what was read."""
        rows = [(os.fsencode(name), found.digest, found.stamp) for name, found in read.items() if found.stamp]
        if self.path is None or not rows:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as database, database:
                database.executemany(f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?)", rows)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _connect(self) -> sqlite3.Connection:
        """The rollback journal is SQLite's default, and the one that also works on a shared file system."""
        assert self.path is not None
        database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
        try:
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {_TABLE} (path BLOB PRIMARY KEY, digest TEXT, stamp TEXT) WITHOUT ROWID"
            )
        except BaseException:
            database.close()
            raise
        return database

    def _give_up(self, error: Exception) -> None:
        """Warn, and go on without; what is no database makes room for a new one."""
        assert self.path is not None
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        consequence = "it is made anew" if damaged else "the images are read again at the next start"
        warnings.warn(f"the content index {self.path} can't be used ({error}): {consequence}", stacklevel=4)
        if damaged:
            with suppress(OSError):
                self.path.unlink()
        else:
            self.path = None


def _read(name: str) -> _Read:
    """Read a file; one that changes meanwhile is read again."""
    digest = ""
    for _ in range(_ATTEMPTS):
        before = file_stamp(name)
        started = time.time_ns()
        try:
            digest = file_digest(name)
            settled = started - os.stat(name).st_ctime_ns > _SETTLED_NS
        except OSError as error:
            return _Read(bytes_digest(f"unreadable {name} {error.errno}".encode(errors="surrogateescape")), None)
        if before == file_stamp(name):
            return _Read(digest, before if settled else None)
    return _Read(digest, None)


def file_stamp(path: str | Path) -> str | None:
    """Return what changes with a file's content, as text: an inode may exceed SQLite's integers. None: no file."""
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_ino}"


def _warn_of_hidden_changes(remembered: dict[str, _Read], read: dict[str, _Read]) -> None:
    """Say which files have other content although nothing else about them changed: only `verify` can notice."""
    hidden = [
        name
        for name, found in read.items()
        if name in remembered and remembered[name].stamp == found.stamp and remembered[name].digest != found.digest
    ]
    if hidden:
        warnings.warn(
            f"{len(hidden)} files have other content than before with equal size and times, such as {hidden[0]}",
            stacklevel=3,
        )
