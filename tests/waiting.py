"""Waiting for other processes, and processes that outlive nobody's shell."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def until(condition: Callable[[], Any], *, seconds: float = 240, poll_seconds: float = 0.1) -> Any:
    """What `condition` returns once it is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(poll_seconds)
    return value


def in_a_shell_of_its_own(repository: Path, folder: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """run.py in `folder`, as the leader of a process group that a test can kill."""
    return subprocess.Popen(
        [sys.executable, str(repository / "run.py"), *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
