"""Sweeps on a real Slurm: arrays, cancelling, requeueing, preemption, time limits, several tasks, dead submitters."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.waiting import in_a_shell_of_its_own, until

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("cluster")]

RunPy = Callable[..., subprocess.CompletedProcess[str]]
SLURM = ["-m", "hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.time=30", "method=full"]


@pytest.fixture(scope="module", autouse=True)
def limited(cluster: None, repository: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is longer than two time limits, on a node of its own beside the other tests; its folder."""
    folder = tmp_path_factory.mktemp("limited")

    def run_py(*arguments: str) -> None:
        command = [sys.executable, str(repository / "run.py"), *arguments, *tiny]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=600)

    run_py("method=full", "trainer.max_steps=40", "runs_dir=pace")
    pace = json.loads(next(folder.glob("pace/digits/*/result.json")).read_text())["time/steps_per_s"]
    # Slurm warns 40 to 10 s before the end of the minute: attempts of 20 to 50 s
    limits = ["hydra.launcher.time=1", "hydra.launcher.warn_seconds=10", "hydra.launcher.partition=apart"]
    run_py(*SLURM, *limits, f"trainer.max_steps={round(95 * pace)}", "sweep.name=limit", "sweep.wait=false")
    return folder


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def run_directories(folder: Path) -> list[Path]:
    """In the order of their seeds."""
    return sorted((folder / "runs" / "digits").iterdir())


def status(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "status.json").read_text())


def steps(folder: Path, runs: int) -> list[int]:
    """How far the runs are; empty until all of them have begun."""
    found = sorted((folder / "runs" / "digits").glob("*/metrics.jsonl"))
    lines = [path.read_text().splitlines() for path in found]
    return [json.loads(run[-1])["step"] for run in lines] if len(lines) == runs and all(lines) else []


def job_ids(text: str) -> list[str]:
    found = re.search(r"trials launched \((.*)\)", text)
    assert found, text
    return found.group(1).split(", ")


def assert_same_run(directory: Path, reference: Path) -> None:
    """Bit for bit the same predictions, losses and figures, each step once."""
    with np.load(directory / "predictions.npz") as got, np.load(reference / "predictions.npz") as expected:
        assert np.array_equal(got["probabilities"], expected["probabilities"])

    def curve(path: Path) -> list[tuple[Any, ...]]:
        rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        return [(r["step"], r.get("train/loss"), r.get("val/top1"), r.get("val/nll")) for r in rows]

    assert curve(directory) == curve(reference)


def test_an_array_and_then_only_what_is_new(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    arguments = [*SLURM, *tiny, "trainer.max_steps=20", "sweep.name=array", "+hydra.launcher.sbatch={comment: mine}"]
    dry = run_py(*arguments, "seed=0,1", "sweep.dry_run=true")
    assert dry.returncode == 0, dry.stderr
    assert "2 new" in dry.stdout
    assert "time=30, nodes=1, ntasks_per_node=1, cpus_per_task=1, comment=mine" in dry.stdout
    assert not list(tmp_path.glob("runs/sweeps/*/sweep.json"))
    assert slurm("squeue", "--noheader", "--name", "hma-array") == ""

    first = run_py(*arguments, "seed=0,1")
    assert first.returncode == 0, first.stdout + first.stderr
    submission = json.loads(next(tmp_path.glob("runs/sweeps/*/submissions/001/submission.json")).read_text())
    jobs = list(submission["jobs"].values())
    scripts = list(tmp_path.glob("runs/sweeps/*/submissions/001/*.sh"))
    assert scripts and all("#SBATCH --comment=mine" in script.read_text() for script in scripts)
    assert [job.split("_")[1] for job in jobs] == ["0", "1"]
    until(lambda: slurm("sacct", "-nPX", "-o", "State", "-j", jobs[0].split("_")[0]).split() == ["COMPLETED"] * 2)

    again = run_py(*arguments, "seed=0,1")
    assert "nothing to launch" in again.stdout
    assert first.stdout[first.stdout.index("array-") :] == again.stdout[again.stdout.index("array-") :]

    more = run_py(*arguments, "seed=3,2,1,0")  # half of them are finished
    assert more.returncode == 0, more.stderr
    state = dict(reversed(part.split()) for part in more.stdout.splitlines()[0].split(", "))
    assert state.pop("finished") == "2"
    assert set(state) <= {"queued", "running"}  # if Slurm is quick, a trial runs already
    assert sum(map(int, state.values())) == 2
    assert [status(d)["starts"] for d in run_directories(tmp_path)] == [1, 1, 1, 1]


def test_cancelled_requeued_and_preempted_trials_continue_exactly(
    run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    settings = [*tiny, "trainer.max_steps=150"]
    arguments = [*SLURM, *settings, "seed=0,1,2", "sweep.name=cut", "sweep.wait=false", "hydra.launcher.partition=main"]
    submitted = run_py(*arguments)
    jobs = job_ids(submitted.stdout)
    until(lambda: (now := steps(tmp_path, 3)) and min(now) >= 10)
    slurm("scancel", jobs[0])
    slurm("scontrol", "requeue", jobs[1])
    until(lambda: jobs[0] not in slurm("squeue", "-hro", "%i").split())
    # takes both nodes, so that what still runs in the lower partition must leave
    slurm("sbatch", "-p", "high", "-N2", "--exclusive", "-t1", "-o/dev/null", "--wrap", "sleep 5")
    until(lambda: slurm("squeue", "-hro", "%i %T %P").count("RUNNING high") == 1)

    shown = run_py("task=status", "sweep.name=cut")
    assert "1 continues" in shown.stdout, shown.stdout
    assert "2 queued" in shown.stdout, shown.stdout
    finished = run_py(*arguments, "sweep.wait=true")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    second = next(tmp_path.glob("runs/sweeps/*/submissions/002/submission.json"))
    assert len(json.loads(second.read_text())["jobs"]) == 1  # Slurm brings back the two others itself

    whole = run_py("-m", *settings, "method=full", "seed=0,1,2", "runs_dir=whole", "hydra.launcher.n_jobs=2")
    assert whole.returncode == 0, whole.stderr
    for directory in run_directories(tmp_path):
        assert status(directory)["starts"] >= 2
        assert_same_run(directory, tmp_path / "whole" / "digits" / directory.name)


def test_two_tasks_are_one_run(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    settings = [*tiny, "trainer.max_steps=20"]
    done = run_py(*SLURM, *settings, "hydra.launcher.nodes=2", "sweep.name=two")
    assert done.returncode == 0, done.stdout + done.stderr
    (directory,) = run_directories(tmp_path)
    assert json.loads((directory / "env.json").read_text())["slurm"]["SLURM_NTASKS"] == "2"
    assert run_py(*settings, "method=full", "runs_dir=one").returncode == 0
    alone = tmp_path / "one" / "digits" / directory.name
    with np.load(directory / "predictions.npz") as two, np.load(alone / "predictions.npz") as one:
        assert np.array_equal(two["ids"], one["ids"])
        np.testing.assert_allclose(two["probabilities"], one["probabilities"], atol=1e-3)


def test_the_submitter_may_be_killed(repository: Path, run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    command = [*SLURM, *tiny, "trainer.max_steps=60", "seed=0,1", "sweep.name=orphan"]
    submitter = in_a_shell_of_its_own(repository, tmp_path, command)
    until(lambda: list(tmp_path.glob("runs/sweeps/*/submissions/001/*_submitted.pkl")))
    until(lambda: slurm("squeue", "-hro", "%T", "--name", "hma-orphan").split() == ["RUNNING"] * 2)
    os.killpg(submitter.pid, signal.SIGKILL)
    submitter.wait()
    until(lambda: "2 finished" in run_py("task=status", "sweep.name=orphan").stdout)
    shown = run_py("task=status", "sweep.name=orphan")
    assert shown.returncode == 0, shown.stdout


def test_cancel_ends_what_waits_and_what_runs(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    arguments = [*SLURM, *tiny, "trainer.max_steps=5000", "seed=0,1", "sweep.name=end", "sweep.wait=false"]
    run_py(*arguments, "hydra.launcher.array_parallelism=1")
    until(lambda: steps(tmp_path, 1))
    cancelled = run_py("task=cancel", "sweep.name=end")
    assert "2 trials cancelled" in cancelled.stdout, cancelled.stdout + cancelled.stderr
    until(lambda: slurm("squeue", "--noheader", "--name", "hma-end") == "")
    shown = run_py("task=status", "sweep.name=end")
    assert shown.returncode == 1
    assert "1 continues, 1 new" in shown.stdout, shown.stdout


def test_a_broken_setup_line_is_named(run_py: RunPy, tiny: list[str]) -> None:
    setup = "hydra.launcher.setup=['export GOOD=1','module_that_is_missing load cuda']"
    done = run_py(*SLURM, *tiny, "trainer.max_steps=20", "sweep.name=setup", setup)
    assert done.returncode == 1
    assert "setup failed with exit code 127: module_that_is_missing load cuda" in done.stderr
    refused = run_py(*SLURM, *tiny, "sweep.name=setup", "hydra.launcher.partition=nowhere")
    assert refused.returncode == 2
    assert "sbatch refused the sweep" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_limit_shorter_than_the_run_ends_in_as_many_pieces_as_it_takes(limited: Path) -> None:
    until(lambda: list(limited.glob("runs/digits/*/result.json")), seconds=600)
    (directory,) = run_directories(limited)
    trial = json.loads(next(limited.glob("runs/sweeps/*/trials/*/status.json")).read_text())
    assert trial["attempts"] >= status(directory)["starts"] >= 3  # an attempt may end before the run begins in it
    rows = [json.loads(line)["step"] for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert rows == sorted(rows)
