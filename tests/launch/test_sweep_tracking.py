"""Sweeps in MLflow: one parent with the trials under it, and eight writers of one SQLite file."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hma_ft.mlflow_sync.content import points, read_content, result_points
from hma_ft.mlflow_sync.store import connect

pytestmark = pytest.mark.slow

RunPy = Callable[..., subprocess.CompletedProcess[str]]
WRITERS = 8


def test_eight_trials_write_one_database_at_once(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    settings = [*(s for s in tiny if s != "tracking=off"), "method=head", "trainer.log_every=1", "trainer.eval_every=5"]
    seeds = f"seed={','.join(map(str, range(WRITERS)))}"
    command = ["-m", *settings, "trainer.max_steps=20", seeds, "sweep.name=eight", f"hydra.launcher.n_jobs={WRITERS}"]
    done = run_py(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    logs = [path.read_text() for path in tmp_path.glob("runs/sweeps/eight-*/trials/*/output.log")]
    assert len(logs) == WRITERS
    assert not any("MLflow" in line and "warning" in line.lower() for log in logs for line in log.splitlines())
    assert not any("database is locked" in log for log in logs)

    client = connect(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("hma-digits")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("hma.sweep") == "eight"]
    children = [run for run in runs if run is not parent]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert sorted(int(run.data.params["seed"]) for run in children) == list(range(WRITERS))
    for run in children:
        content = read_content(Path(run.data.tags["directory"]))
        stored = [(key, m.step) for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]
        assert sorted(stored) == sorted(set(points(content.rows)) | set(result_points(content)))

    again = run_py(*command)
    assert "nothing to launch" in again.stdout
    assert done.stdout[done.stdout.index("eight-") :] == again.stdout[again.stdout.index("eight-") :]
    assert len(client.search_runs([experiment.experiment_id])) == WRITERS + 1
