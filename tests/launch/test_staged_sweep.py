"""A sweep with stages, of real runs: cut off in the middle, gone on with, left alone, compared."""

import json
import os
import signal
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hma_ft.mlflow_sync.store import connect
from tests.waiting import in_a_shell_of_its_own, until

pytestmark = pytest.mark.slow

RunPy = Callable[..., subprocess.CompletedProcess[str]]
STAGED = [
    *("-m", "sweep.name=staged", "method=head,knn", "trainer.max_steps=10", "hydra.launcher.n_jobs=2"),
    *("sweep.seeds=[0,1]", "sweep.tune.seeds=[9]", "sweep.compare=true", "sweep.tune.extend=1"),
    "+sweep.tune.grids={head:{optimizer.lr:[0.001,0.01,1e38]}}",
]


def folder_of(path: Path) -> Path:
    (found,) = path.glob("runs/sweeps/staged-*")
    return found


def state_of(path: Path) -> dict[str, Any]:
    try:
        return json.loads(next(path.glob("runs/sweeps/staged-*/stages/state.json")).read_text())
    except StopIteration:
        return {"stage": ""}


def supervisor_of(path: Path) -> int:
    """Process id of the latest supervisor; 0 before there is one."""
    started = sorted(path.glob("runs/sweeps/staged-*/submissions/*/started"))
    return int(started[-1].read_text()) if started else 0


def test_it_survives_its_shell_and_its_supervisor_and_ends_in_a_verdict(
    repository: Path, run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    settings = [s for s in tiny if s != "tracking=off" and not s.startswith("optimizer.lr=")]
    settings.append("sweep.tune.halving=true")
    shell = in_a_shell_of_its_own(repository, tmp_path, [*STAGED, *settings])
    until(lambda: state_of(tmp_path)["stage"] == "halve", seconds=600)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    supervisor = supervisor_of(tmp_path)
    os.kill(supervisor, signal.SIGKILL)

    shell = in_a_shell_of_its_own(repository, tmp_path, [*STAGED, *settings])
    until(lambda: supervisor_of(tmp_path) not in (0, supervisor), seconds=600)
    os.killpg(shell.pid, signal.SIGKILL)
    shell.wait()
    until(lambda: state_of(tmp_path)["stage"] == "done" or state_of(tmp_path)["error"], seconds=900)
    assert not state_of(tmp_path)["error"]

    again = run_py(*STAGED, *settings)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing to launch: every trial is finished" in again.stdout
    assert "method=head: val chose optimizer.lr=" in again.stdout and "trials failed" in again.stdout
    assert "after 33% of the steps" in again.stdout
    assert "2 seeds are too few to judge" in again.stdout
    assert f"page: {folder_of(tmp_path) / 'report.html'}" in again.stdout

    runs = {path.parent: json.loads(path.read_text()) for path in tmp_path.glob("runs/digits/*/result.json")}
    assert not any(json.loads((path / "status.json").read_text())["starts"] > 2 for path in runs)
    heads = [
        result["test/top1"]
        for path, result in runs.items()
        if path.name.startswith("head-") and "-seed9-" not in path.name
    ]
    verdict = json.loads((folder_of(tmp_path) / "verdict.json").read_text())
    rows = {row["group"]: row for row in verdict["rows"]}
    assert rows["head"]["seeds"] == rows["knn"]["seeds"] == 2 == len(heads)  # none of those that val chose with
    assert rows["head"]["mean"] == pytest.approx(statistics.mean(heads))

    client = connect(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("hma-digits")
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`hma.sweep` = 'staged'")
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["verdict/head/mean"] == pytest.approx(statistics.mean(heads))
    assert parent.data.metrics["verdict/knn/difference"] == pytest.approx(rows["knn"]["difference"])
    assert parent.data.tags["hma.verdict.knn"].startswith("underpowered")
    assert f"| digits | knn | 2 | {100 * rows['knn']['mean']:.2f} |" in parent.data.tags["mlflow.note.content"]
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} == {"report.html", "comparison"}


def test_a_budget_leaves_out_the_dearest_and_a_dry_run_shows_all_stages(
    run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    settings = [*STAGED, *(s for s in tiny if not s.startswith("optimizer.lr="))]
    dry = run_py(*settings, "sweep.dry_run=true")
    assert dry.returncode == 0, dry.stderr
    assert "5 new. A trial asks for: jobs at a time=2" in dry.stdout
    assert "method=head   up to 1 trial, where val chooses an end   2 trials at what val chooses" in dry.stdout
    assert not list(tmp_path.glob("runs/sweeps/*/sweep.json"))
    assert "optimizer.lr is given by the command" in run_py(*STAGED, *tiny, "sweep.dry_run=true").stdout

    done = run_py(*settings, "sweep.budget_minutes=0.001", "sweep.baseline=knn", "sweep.compare=false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "for want of time (sweep.budget_minutes=0.001) method=head is left out" in done.stdout
    names = sorted(path.name.rpartition("-")[0] for path in tmp_path.glob("runs/digits/*"))
    assert names == ["head-vit_micro-seed9", "knn-vit_micro-seed0", "knn-vit_micro-seed1"]
    assert not list(tmp_path.glob("runs/sweeps/*/report.html"))
