"""Trials that begin in a process where torch is loaded already."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from hma_ft.launch import forkserver
from hma_ft.launch.forkserver import ForkServer
from tests.processes import fork_context
from tests.waiting import until

pytestmark = pytest.mark.slow


def test_a_trial_is_the_run_of_its_settings(
    run_py: Callable[..., subprocess.CompletedProcess[str]], tiny: list[str], tmp_path: Path
) -> None:
    settings = [*tiny, "method=hma", "trainer.max_steps=10"]
    assert run_py("-m", *settings, "seed=0,1", "sweep.name=two").returncode == 0
    assert run_py(*settings, "seed=1", f"runs_dir={tmp_path / 'alone'}").returncode == 0
    (trial,) = tmp_path.glob("runs/digits/hma-vit_micro-seed1-*")
    (alone,) = tmp_path.glob("alone/digits/*")
    with np.load(trial / "predictions.npz") as mine, np.load(alone / "predictions.npz") as other:
        assert all(np.array_equal(mine[name], other[name]) for name in other)
    mine, other = (json.loads((folder / "env.json").read_text()) for folder in (trial, alone))
    assert mine["command"].startswith("python -m hma_ft.launch.trial ") and mine["command"].endswith("/config.yaml")
    assert {name for name in other if mine[name] != other[name]} == {"command"}


def _start(tmp_path: Path, source: ForkServer, arguments: list[str]) -> Any:
    fork_context()  # the server that is started first serves all tests of this process
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    return source.start(arguments, folder=folder, output=tmp_path / "output.log", settings={})


def test_processes_have_their_own_session_output_and_end(tmp_path: Path) -> None:
    source = ForkServer({})
    refused = _start(tmp_path, source, [])
    refused.join()
    assert refused.exitcode == 2
    assert (tmp_path / "output.log").read_text() == "usage: python -m hma_ft.launch.trial FROZEN.yaml\n"
    os.mkfifo(tmp_path / "order.json")  # a trial that reads it waits for ever
    killed = _start(tmp_path, source, [str(tmp_path / "config.yaml")])
    until(lambda: os.getsid(killed.pid) == killed.pid and psutil.Process(killed.pid).cwd() == str(tmp_path / "folder"))
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL


def test_changed_code_gets_a_fresh_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ForkServer({})
    forked = _start(tmp_path, source, [])
    assert psutil.Process(forked.pid).ppid() != os.getpid()
    forked.join()
    monkeypatch.setattr(forkserver, "git_state", lambda: {"commit": "f" * 40})
    fresh = _start(tmp_path, source, [])
    assert psutil.Process(fresh.pid).ppid() == os.getpid()
    fresh.join()
    assert (forked.exitcode, fresh.exitcode) == (2, 2)


def test_a_sweep_runs_where_there_can_be_no_fork_server(
    run_py: Callable[..., subprocess.CompletedProcess[str]],
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A socket's path has at most 107 bytes."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    done = run_py("-m", *tiny, "method=head", "trainer.max_steps=4", "seed=0,1", "sweep.name=far")
    assert done.returncode == 0, done.stderr
    assert "2 finished" in done.stdout
