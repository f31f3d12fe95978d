"""Real runs (`python run.py ...`) that can be killed at a chosen moment, and comparisons of what they leave."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hma_ft.config.schema import TrackingConfig
from hma_ft.engine.checkpoint import load_newest
from hma_ft.mlflow_sync.content import points, read_content, result_points
from hma_ft.mlflow_sync.store import connect, tracking_uri
from tests import processes

MAX_STEPS, EVAL_EVERY = 24, 6
SETTINGS = [
    "model=vit_micro",
    "dataset=digits",
    "augment=digits",
    "augment.mixup_alpha=0.3",
    "optimizer=adamw",
    "optimizer.lr=0.002",
    "trainer.device=cpu",
    "trainer.batch_size=16",
    "trainer.ema_decay=0.9",
    "trainer.log_every=1",
    "trainer.checkpoint_minutes=0",
    f"trainer.max_steps={MAX_STEPS}",
    f"trainer.eval_every={EVAL_EVERY}",
    "scheduler.warmup_steps=4",
]


IN_BACKGROUND = "tests.faults.written_in_background"

Process = subprocess.Popen[str] | processes.ForkedProcess


class RealRun:
    """One run directory below `folder`, worked on by one process after the other.

    `program`: run.py, or `IN_BACKGROUND`, which writes its checkpoints as on a GPU.
    """

    def __init__(self, folder: Path, *arguments: str, tracking: str = "off", program: str = processes.RUN_PY) -> None:
        self.folder = folder
        self.program = program
        self.arguments = [*SETTINGS, f"tracking={tracking}", *arguments]
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, *more: str, before_exec: Callable[[], None] | None = None) -> Process:
        """The same command as ever, with what changes no result (`more`) in any way."""
        if before_exec is None:
            return processes.start(self.program, *self.arguments, *more, folder=self.folder, merge_output=True)
        return subprocess.Popen(
            [sys.executable, processes.RUN_PY, *self.arguments, *more],
            cwd=self.folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=before_exec,
        )

    def finish(self, *more: str) -> str:
        """Run to the end; returns the output."""
        process = self.start(*more)
        output = process.communicate(timeout=300)[0]
        assert process.returncode == 0, output
        return output

    @property
    def directory(self) -> Path:
        """The run directory; there must be one."""
        (found,) = (self.folder / "runs" / "digits").iterdir()
        return found

    @property
    def checkpoints(self) -> list[Path]:
        """What continues the run, oldest first."""
        return sorted((self.directory / "checkpoints").glob("step-*.pt"))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Whole rows of metrics.jsonl; none before the run has begun."""
        found = list(self.folder.glob("runs/digits/*/metrics.jsonl"))
        lines = found[0].read_text().splitlines(keepends=True) if found else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @property
    def status(self) -> dict[str, Any]:
        """status.json."""
        return json.loads((self.directory / "status.json").read_text())


def wait_for(condition: Callable[[], Any], process: Process, seconds: float = 120) -> bool:
    """Whether it came true before the process ended."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
    return True


def figures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without times."""
    return [{k: v for k, v in row.items() if k not in ("time", "train/images_per_s")} for row in rows]


def assert_same_outcome(run: RealRun, reference: RealRun) -> None:
    """Weights, optimizer, memories, averages, predictions bit for bit; rows and results but for times."""
    assert run.directory.name == reference.directory.name
    assert figures(run.rows) == figures(reference.rows)
    own, other = (_chosen_and_last(one) for one in (run, reference))
    assert own.keys() == other.keys()
    for name, tensor in own.items():
        assert torch.equal(tensor, other[name]), f"{run.directory.name}: {name} differs"
    names = sorted(path.name for path in reference.directory.glob("predictions*.npz"))
    assert names and names == sorted(path.name for path in run.directory.glob("predictions*.npz"))
    for name in names:
        with np.load(run.directory / name) as got, np.load(reference.directory / name) as expected:
            assert all(np.array_equal(got[key], expected[key]) for key in expected.files), name
    assert _results(run) == _results(reference)


def _chosen_and_last(run: RealRun) -> dict[str, torch.Tensor]:
    """All tensors of the last checkpoint and of the weights that val chose."""
    best = load_newest(run.directory / "checkpoints", kind="best")
    assert best is not None
    last = torch.load(run.checkpoints[-1], weights_only=True)["learner"]
    return dict(_tensors(last, "last")) | dict(_tensors(best, "best"))


def _tensors(node: Any, name: str) -> list[tuple[str, torch.Tensor]]:
    if isinstance(node, torch.Tensor):
        return [(name, node)]
    if isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return []
    return [pair for key, value in node.items() for pair in _tensors(value, f"{name}/{key}")]


def _results(run: RealRun) -> dict[str, Any]:
    result = json.loads((run.directory / "result.json").read_text())
    return {key: value for key, value in result.items() if not key.startswith(("time/", "memory/"))}


def assert_once_in_mlflow(directory: Path) -> None:
    """One run, finished, with every point of the record and no other, each once."""
    client = connect(tracking_uri(TrackingConfig(), directory))
    experiment = client.get_experiment_by_name("hma-digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    content = read_content(directory)
    stored = [(key, m.step) for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]
    assert sorted(stored) == sorted(set(points(content.rows)) | set(result_points(content)))
    assert run.info.status == "FINISHED"
