"""The benchmarks run from end to end in small sizes; what they compare is checked elsewhere to 1e-9."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from analysis.benchmarks.head_setup import batch, filled_head
from analysis.benchmarks.scale import Setting

pytestmark = pytest.mark.slow
ROW = re.compile(r"^\| (.*) \| (.*) \| (.*) \| (.*) \| (yes|\*\*no\*\*|) \|$", re.MULTILINE)


def measured(repository: Path, page: Path, *command: str) -> list[tuple[str, ...]]:
    """The rows of the page: what, against, measured, target, holds."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "--quick", "--out", str(page)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    text = page.read_text()
    assert "- commit: " in text and "- processor: " in text and "torch " in text
    return [row for row in ROW.findall(text) if row[0] != "what"]


def test_the_gpu_benchmark_runs_on_a_cpu(repository: Path, tmp_path: Path) -> None:
    rows = measured(repository, tmp_path / "page.md", "analysis.benchmarks.gpu", "--no-compile")
    for method in ("full", "head", "hma", "hma_head"):
        assert any(f", {method}, bf16" in row[0] and "ms a step" in row[2] for row in rows), method
    assert any("step of lora" in row[0] and "x the time" in row[2] for row in rows)
    assert any("from JPEGs" in row[0] or "skipped" in row[2] for row in rows)


def test_all_benchmarks_run_and_what_is_no_speed_holds(repository: Path, tmp_path: Path) -> None:
    """Speeds of small sizes mean nothing."""
    rows = measured(repository, tmp_path / "page.md", "analysis.benchmarks")
    assert rows and not any("failed" in row[2] for row in rows)
    whats = "\n".join(row[0] for row in rows)
    for what in ("run.py --cfg job", "HMA in a full step", "peak memory", "cached, 12 JPEGs", "head-only sweep"):
        assert what in whats or "skipped" in "\n".join(row[2] for row in rows), what
    exact = [row for row in rows if row[3] in ("identical", "all the same; no image by more than 1")]
    assert exact and all(row[4] == "yes" for row in exact)


def test_operations_are_those_that_torch_counts() -> None:
    """Multiply-adds of a step of the head; LayerNorm, softmax and such are not counted by either."""
    setting = Setting(rows=64, slots=4, classes=10, batch=16)
    head = filled_head(setting.rows, classes=setting.classes, slots=setting.slots)
    features, labels, ids = batch(setting.batch, classes=setting.classes)
    features.requires_grad_()  # as on a backbone that trains: every product has two gradients
    with FlopCounterMode(display=False) as counter:
        cross_entropy(head(features, ids), labels).backward()
    assert counter.get_total_flops() / 2 == pytest.approx(sum(setting.operations().values()), rel=0.05)
