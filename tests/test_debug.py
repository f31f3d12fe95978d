"""conf/debug: does it work at all, can it learn one batch, where does the time go."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hma_ft.data.variants import spread
from hma_ft.engine.profiling import TABLE, TRACE
from hma_ft.rundir.metric_log import read_rows

pytestmark = pytest.mark.slow
RunPy = Callable[..., subprocess.CompletedProcess[str]]
COMMON = ("method=hma_head", "dataset=digits", "model=vit_micro", "trainer.device=cpu", "trainer.num_workers=0")


@pytest.fixture
def debug(run_py: RunPy, tmp_path: Path) -> Callable[[str], Path]:
    """Runs `debug=NAME`; returns the run directory."""

    def run(name: str, *arguments: str) -> Path:
        done = run_py(f"debug={name}", *COMMON, *arguments)
        assert done.returncode == 0, done.stderr
        (directory,) = (tmp_path / "runs/debug/digits").iterdir()
        return directory

    return run


def test_fast_goes_once_through_everything(debug: Callable[[str], Path], tmp_path: Path) -> None:
    directory = debug("fast")
    status = json.loads((directory / "status.json").read_text())
    assert (status["state"], status["step"]) == ("finished", 1)
    assert (directory / "predictions.npz").is_file() and (directory / "confusion.png").is_file()
    assert not list(tmp_path.rglob("mlflow.db"))


def test_one_batch_is_learned_by_heart(debug: Callable[[str], Path]) -> None:
    directory = debug("overfit")
    counts = json.loads((directory / "data.json").read_text())
    assert counts["train"] == counts["val"] == counts["test"] == 16
    assert counts["train_content"] == counts["test_content"]
    top1 = [row["train/top1"] for row in read_rows(directory / "metrics.jsonl") if "train/top1" in row]
    assert top1[0] < 0.5 and top1[-1] == 1.0


def test_the_profiler_records_the_last_steps(debug: Callable[[str], Path]) -> None:
    directory = debug("profile")
    events = json.loads(gzip.decompress((directory / TRACE).read_bytes()))["traceEvents"]
    forward = [event for event in events if event.get("name") == "aten::scaled_dot_product_attention"]
    assert forward
    assert "aten::addmm" in (directory / TABLE).read_text()


def test_one_batch_is_spread_over_the_images() -> None:
    assert spread(10, 4).tolist() == [0, 2, 5, 7]
    assert torch.equal(spread(3, 16), torch.arange(3))
