"""A sweep with stages on a real Slurm: a small job starts the next stage, though the controller dies meanwhile."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hma_ft.launch.slurm_commands import SlurmSilent, submit_after
from tests.waiting import until

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.usefixtures("cluster")]

RunPy = Callable[..., subprocess.CompletedProcess[str]]
STAGED = [
    *("-m", "hydra/launcher=slurm", "hydra.launcher.cpus=1", "hydra.launcher.time=30", "sweep.name=staged"),
    *("method=head,knn", "trainer.max_steps=2000", "sweep.seeds=[0,1]", "sweep.tune.seeds=[9]", "sweep.tune.extend=0"),
    *("sweep.compare=true", "+sweep.tune.grids={head:{optimizer.lr:[0.001,0.01]}}"),
]


def test_the_stages_follow_each_other_though_the_controller_dies(
    run_py: RunPy, tiny: list[str], tmp_path: Path
) -> None:
    command = [*STAGED, *(s for s in tiny if not s.startswith("optimizer.lr="))]
    started = run_py(*command, "sweep.wait=false")
    assert started.returncode == 0, started.stdout + started.stderr
    assert "stage first launched; the others follow by themselves" in started.stdout
    (folder,) = tmp_path.glob("runs/sweeps/staged-*")

    def stage() -> str:
        return str(json.loads((folder / "stages" / "state.json").read_text())["stage"])

    def is_submitted(number: int) -> bool:
        path = folder / "submissions" / f"{number:03d}" / "submission.json"
        return path.exists() and bool(json.loads(path.read_text())["following"])

    def jobs() -> str:
        asked = ["squeue", "--noheader", "--name", "hma-staged,hma-staged-next", "--format", "%i %T"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    def nothing_changes() -> bool:  # a controller that is killed forgets what it did in its last five seconds
        before = jobs()
        time.sleep(6)
        return "RUNNING" in before and jobs() == before

    until(lambda: is_submitted(2) and nothing_changes(), seconds=600)
    base = Path(os.environ["SLURM_CONF"]).parent
    os.kill(int((base / "run" / "slurmctld.pid").read_text()), signal.SIGKILL)
    with pytest.raises(SlurmSilent):
        submit_after("1", str(next(folder.glob("submissions/001/next_stage.sh"))))
    subprocess.run(["slurmctld"], check=True, timeout=60)

    until(lambda: stage() == "done", seconds=900)
    again = run_py(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing to launch: every trial is finished" in again.stdout
    assert "2 seeds are too few to judge knn" in again.stdout
    starts = [json.loads(path.read_text())["starts"] for path in tmp_path.glob("runs/digits/*/status.json")]
    assert sorted(starts) == [1] * 6  # two of the choosing stage, two seeds of each method
    assert len(list(folder.glob("submissions/*"))) == 3


def test_cancel_ends_the_job_of_the_next_stage_too(run_py: RunPy, tiny: list[str], tmp_path: Path) -> None:
    command = [*STAGED, *(s for s in tiny if not s.startswith("optimizer.lr=")), "trainer.max_steps=5000"]
    run_py(*command, "sweep.wait=false")
    cancelled = run_py("task=cancel", "sweep.name=staged")
    assert "trials cancelled" in cancelled.stdout, cancelled.stdout + cancelled.stderr
    left = ["squeue", "--noheader", "--name", "hma-staged,hma-staged-next", "--format", "%T"]
    # the first test's controller was killed: a job of which nothing runs may still be shown as completing
    until(
        lambda: set(subprocess.run(left, capture_output=True, text=True, check=True).stdout.split()) <= {"COMPLETING"}
    )
    shown = run_py("task=status", "sweep.name=staged")
    assert shown.returncode == 1
    assert "the sweep ended in stage first: the same command takes it up" in shown.stdout
