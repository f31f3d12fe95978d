"""`torchrun run.py`: one run by several processes, its record written by one; a process that dies ends the others."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

RunPy = Callable[..., subprocess.CompletedProcess[str]]
SETTINGS = ["method=hma", "method.hma.dropout=0", "optimizer=sgd", "optimizer.lr=0.01", "trainer.max_steps=24"]
SETTINGS += [
    "trainer.checkpoint_minutes=0",
    "trainer.log_every=2",
    "trainer.eval_every=8",
    "trainer.ema_decay=0.9",
    "augment.mixup_alpha=0.3",
]


def torchrun(folder: Path, processes: int, *arguments: str) -> subprocess.Popen[str]:
    """run.py in that many processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [*launcher, "run.py", *arguments, f"runs_dir={folder / 'runs'}"],
        cwd=Path(__file__).resolve().parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder: Path) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl, once there is one."""
    found = list(folder.glob("runs/digits/*/metrics.jsonl"))
    return [json.loads(line) for line in found[0].read_text().splitlines()] if found else []


def rank_process(launcher: subprocess.Popen[str], rank: int) -> psutil.Process:
    """The process of a rank."""
    children = psutil.Process(launcher.pid).children(recursive=True)
    (found,) = [c for c in children if c.environ().get("RANK") == str(rank) and "run.py" in " ".join(c.cmdline())]
    return found


def test_a_dead_rank_ends_the_others_and_another_number_of_processes_continues(
    run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    settings = [*tiny, *SETTINGS]
    launcher = torchrun(tmp_path, 2, *settings)
    while not any(row["step"] > 8 for row in rows(tmp_path)):
        assert launcher.poll() is None, launcher.communicate()[0]
        time.sleep(0.05)
    ranks = [rank_process(launcher, rank) for rank in (0, 1)]
    ranks[1].send_signal(signal.SIGKILL)
    output = launcher.communicate(timeout=60)[0]  # within a minute
    assert launcher.returncode != 0, output
    psutil.wait_procs(ranks, timeout=0)
    assert not any(process.is_running() for process in ranks)
    (directory,) = (tmp_path / "runs" / "digits").iterdir()
    status = json.loads((directory / "status.json").read_text())
    assert status["state"] in ("failed", "interrupted") or status["pid"] == ranks[0].pid
    assert status["step"] == 8

    launcher = torchrun(tmp_path, 4, *settings)
    output = launcher.communicate(timeout=240)[0]
    assert launcher.returncode == 0, output
    assert output.count("run directory:") == 1  # rank 0 alone speaks
    whole = run_py(*settings, "runs_dir=whole")
    assert whole.returncode == 0, whole.stderr
    assert_one_record(directory, tmp_path / "whole" / "digits" / directory.name)
    again = torchrun(tmp_path, 2, *settings)
    output = again.communicate(timeout=120)[0]
    assert again.returncode == 0 and output.count("This run is finished") == 1, output


def assert_one_record(directory: Path, alone: Path) -> None:
    """What four processes wrote is what one would have written, up to rounding."""
    assert sorted(path.name for path in directory.iterdir()) == sorted(path.name for path in alone.iterdir())
    result = json.loads((directory / "result.json").read_text())
    assert result["processes"] == 4
    for name in ("predictions.npz", "predictions_batch.npz", "predictions_support.npz"):
        with np.load(directory / name) as many, np.load(alone / name) as one:
            assert np.array_equal(many["ids"], np.arange(450))  # every image of the test split once
            assert np.array_equal(many["ids"], one["ids"])
            np.testing.assert_allclose(many["probabilities"], one["probabilities"], atol=1e-4)
    losses = [
        [
            (row["step"], row["train/loss"])
            for row in map(json.loads, path.read_text().splitlines())
            if "train/loss" in row
        ]
        for path in (directory / "metrics.jsonl", alone / "metrics.jsonl")
    ]
    assert [step for step, _ in losses[0]] == [step for step, _ in losses[1]]
    np.testing.assert_allclose([loss for _, loss in losses[0]], [loss for _, loss in losses[1]], atol=1e-4)
    checkpoints = [sorted(p.name[:13] for p in (d / "checkpoints").glob("step-*")) for d in (directory, alone)]
    assert checkpoints[0] == checkpoints[1] == ["step-00000016", "step-00000024"]


def test_processes_that_accelerate_does_not_start_are_missed(tiny: list[str], tmp_path: Path) -> None:
    accelerate = [str(Path(sys.executable).with_name("accelerate")), "launch", "--cpu", "--num_processes", "2"]
    done = subprocess.run(
        [*accelerate, "run.py", *tiny, "method=head", f"runs_dir={tmp_path}"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode != 0
    assert "error: 2 processes were asked for, but this run has 1" in done.stderr
    assert "torchrun --nproc-per-node 2 run.py" in done.stderr
    assert not list(tmp_path.iterdir())
