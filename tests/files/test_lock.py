"""One process a run; the lock of a dead one is free."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hma_ft.errors import UserError
from hma_ft.files.lock import RunLock, is_held

HOLD = (
    "import sys, time; from pathlib import Path; from hma_ft.files.lock import RunLock\n"
    "with RunLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


def hold(directory: Path) -> subprocess.Popen[str]:
    """Another process that has the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_second_process_is_told_who_holds_it_and_a_dead_holder_is_taken_over(tmp_path: Path) -> None:
    process = hold(tmp_path)
    try:
        assert is_held(tmp_path)
        with pytest.raises(UserError, match=f"process {process.pid} on {os.uname().nodename}"), RunLock(tmp_path):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not is_held(tmp_path)
    with RunLock(tmp_path):
        assert f'"pid": {os.getpid()}' in (tmp_path / "lock").read_text()


def test_same_process_cannot_take_it_twice_and_looking_does_not_lose_it(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(UserError, match="by this process"), RunLock(tmp_path):
            pass
        code = (
            "import sys; from pathlib import Path; from hma_ft.files.lock import is_held\n"
            "print(is_held(Path(sys.argv[1])))"
        )
        seen = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
        assert seen.stdout == "True\n"
    assert not is_held(tmp_path)


def _sleep() -> None:
    time.sleep(30)


def _lock_and_fork(directory: Path) -> None:
    lock = RunLock(directory)
    lock.__enter__()
    child = multiprocessing.get_context("fork").Process(target=_sleep)
    child.start()
    (directory / "child").write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def test_orphaned_loader_workers_do_not_keep_the_lock(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_lock_and_fork, args=(tmp_path,))
    process.start()
    process.join()
    child = int((tmp_path / "child").read_text())
    try:
        os.kill(child, 0)  # it lives
        assert not is_held(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
