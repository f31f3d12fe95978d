"""A lock is waited for, for as long as it was said, and the lock of a dead process is free."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest

from hma_ft.files.waiting_lock import waiting_lock


def _hold(path: Path, told: Connection) -> None:
    with waiting_lock(path, seconds=5):
        told.send("held")
        told.recv()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Path, ForkProcess, Connection]]:
    """A lock file, the process that holds it, and how to tell it to let go."""
    path = tmp_path / "folder" / "lock"
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(path, there))
    process.start()
    assert here.recv() == "held"
    yield path, process, here
    process.kill()
    process.join()


def test_it_gives_up_and_says_once_what_it_waits_for(
    held: tuple[Path, ForkProcess, Connection], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _, _ = held
    with (
        pytest.raises(TimeoutError, match="held by another process since 0 s"),
        waiting_lock(path, seconds=0.2, waiting_for="another submission"),
    ):
        pass
    assert capsys.readouterr().err == f"waiting for another submission ({path})\n"


def test_it_waits_until_the_holder_lets_go(held: tuple[Path, ForkProcess, Connection]) -> None:
    path, process, told = held
    told.send("let go")
    with waiting_lock(path, seconds=5):
        process.join(5)
        assert process.exitcode == 0


def test_the_lock_of_a_killed_process_is_free(held: tuple[Path, ForkProcess, Connection]) -> None:
    path, process, _ = held
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with waiting_lock(path, seconds=5):
        assert path.exists()


def test_an_error_inside_releases_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), waiting_lock(tmp_path / "lock", seconds=1):
        raise ValueError("inside")
    with waiting_lock(tmp_path / "lock", seconds=0):
        pass
