"""Sweeps of real runs on this machine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from tests.waiting import in_a_shell_of_its_own, until

pytestmark = pytest.mark.slow

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def test_a_failure_stops_nobody_else_and_only_it_is_launched_again(
    run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    settings = [*tiny, "method=head", "trainer.max_steps=10"]
    sweep = ["-m", *settings, "sweep.name=mixed"]
    command = [*sweep, "optimizer.lr=0.01,1e38", "hydra.launcher.n_jobs=2"]
    first = run_py(*command)
    assert first.returncode == 1, first.stderr
    assert "1 of 2 trials did not finish" in first.stderr
    assert "optimizer.lr=1e+38: the loss of step" in first.stderr.replace("1e38", "1e+38")
    assert "1 finished, 1 failed" in first.stdout
    frozen = [yaml.safe_load(p.read_text()) for p in tmp_path.glob("runs/sweeps/mixed-*/trials/*/config.yaml")]
    assert sorted(c["optimizer"]["lr"] for c in frozen) == [0.01, 1e38]
    assert not any(c["dataset"]["download"] for c in frozen)

    again = run_py(*command)
    assert again.returncode == 1
    assert again.stdout.splitlines()[0] == "1 finished, 1 queued"
    good = run_py(*sweep, "optimizer.lr=0.01")
    assert good.returncode == 0, good.stderr
    assert "nothing to launch" in good.stdout
    alone = run_py(*settings, "optimizer.lr=0.01")
    assert "This run is finished" in alone.stdout


def test_the_shell_may_die_and_cancel_saves(repository: Path, run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    loading = ["trainer.num_workers=1", "trainer.cache_features=false"]
    settings = [*(setting for setting in tiny if setting != "trainer.num_workers=0"), *loading, "method=head"]
    command = ["-m", *settings, "seed=0,1", "trainer.max_steps=4000", "sweep.name=orphan"]
    shell = in_a_shell_of_its_own(repository, tmp_path, command)
    # the file is there from the start, a loss once a step is taken
    until(lambda: any("train/loss" in file.read_text() for file in tmp_path.glob("runs/digits/*/metrics.jsonl")))
    (lock,) = tmp_path.glob("runs/digits/*/lock")
    trial = psutil.Process(json.loads(lock.read_text())["pid"])
    workers = until(trial.children)
    assert {tuple(worker.cmdline()) for worker in workers} == {tuple(trial.cmdline())}  # forked: no import anew
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    shown = run_py("task=status", "sweep.name=orphan")
    assert "1 running, 1 queued" in shown.stdout, shown.stdout
    again = run_py(*command, "sweep.wait=false")
    assert "nothing to launch" in again.stdout

    cancelled = run_py("task=cancel", "sweep.name=orphan")
    assert "2 trials cancelled" in cancelled.stdout, cancelled.stdout + cancelled.stderr
    after = run_py("task=status", "sweep.name=orphan")
    assert after.returncode == 1
    assert "1 continues, 1 new" in after.stdout, after.stdout
    (directory,) = tmp_path.glob("runs/digits/*")
    status = json.loads((directory / "status.json").read_text())
    assert status["state"] == "interrupted"
    assert status["step"] > 0
    assert list(directory.glob("checkpoints/*"))


def test_fail_fast_ends_the_others_with_their_checkpoints(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    settings = [*tiny, "method=head", "trainer.max_steps=5000", "sweep.name=fast", "hydra.launcher.n_jobs=2"]
    done = run_py("-m", *settings, "optimizer.lr=0.01,1e38,0.02", "sweep.fail_fast=true")
    assert done.returncode == 1, done.stdout
    assert "3 of 3 trials did not finish" in done.stderr
    assert "the loss of step" in done.stderr
    # the one beside it is cut off wherever it stands, and the third never begins
    assert done.stdout.splitlines()[-1] in ("1 failed, 1 continues, 1 new", "1 failed, 2 new")
    assert len(list(tmp_path.glob("runs/sweeps/fast-*/trials/*/output.log"))) == 2


def test_a_dry_run_tells_what_would_happen_and_changes_nothing(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    settings = [*tiny, "method=head", "trainer.max_steps=10"]
    assert run_py(*settings, "seed=1").returncode == 0
    before = set(tmp_path.rglob("*"))
    done = run_py("-m", *settings, "seed=0,1", "sweep.name=dry", "sweep.dry_run=true")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("seed=")]
    assert [(row[0], row[2]) for row in rows] == [("seed=0", "new"), ("seed=1", "finished")]
    (directory,) = (tmp_path / "runs" / "digits").iterdir()
    assert directory.name.endswith(rows[1][1][:8])  # the fingerprint
    hydras = {tmp_path / "runs" / "sweeps", tmp_path / "runs" / "sweeps" / "multirun.yaml"}
    assert set(tmp_path.rglob("*")) - hydras == before


def test_a_method_that_reads_no_rate_runs_once_for_all_rates(
    repository: Path, run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    settings = [*tiny, "method=head,knn", "optimizer.lr=0.01,0.1", "trainer.max_steps=10", "sweep.name=once"]
    dry = run_py("-m", *settings, "sweep.dry_run=true")
    assert dry.stdout.splitlines()[-1].startswith("1 of 4 trials repeat another trial's run"), dry.stdout + dry.stderr
    labels = [line.strip().partition("  ")[0] for line in dry.stdout.splitlines() if "method=" in line]
    assert labels == ["optimizer.lr=0.01 method=head", "method=knn", "optimizer.lr=0.1 method=head"]
    done = run_py("-m", *settings)
    assert done.returncode == 0, done.stderr
    assert "3 finished" in done.stdout
    (directory,) = tmp_path.glob("runs/digits/knn-*")
    recorded = yaml.safe_load((directory / "config.yaml").read_text())
    assert recorded["optimizer"]["lr"] == 0.01 and recorded["trainer"]["max_steps"] == 1000  # the defaults
    alone = run_py(*tiny, "method=knn", "optimizer.lr=7")
    assert "This run is finished" in alone.stdout

    command = [sys.executable, "-m", "analysis.compare", "--runs", str(tmp_path / "runs"), "--sweep", "once"]
    compared = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--no-figures"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stderr  # other views and steps of knn are no contradiction
    tables = json.loads((tmp_path / "out" / "comparison.json").read_text())["tables"]
    assert [(row["group"], row["chosen"]) for row in tables["summary"]["rows"]][-1] == ("knn", {})
    assert sorted(row["group"] for row in tables["runs"]["rows"]) == ["head", "head", "knn"]
    differing = {row["setting"]: row["values"] for row in tables["differences"]["rows"]}
    assert differing["optimizer.lr"] == {"head": ["0.01", "0.1"]}
    assert not any(setting.startswith("augment.") for setting in differing)
