"""The benchmarks run from end to end in small sizes; what they compare is checked elsewhere to 1e-9."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from analysis.benchmarks.__main__ import NAMES
from analysis.benchmarks.head_setup import batch, filled_head
from analysis.benchmarks.measurement import Measurement
from analysis.benchmarks.page import Machine, notes_of, page, saved_machines
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
    rows = [
        (what, against, value, target, holds)
        for what, against, target, value, holds in measured(repository, tmp_path / "page.md", "analysis.benchmarks")
    ]
    assert rows and not any("failed" in row[2] for row in rows)
    whats = "\n".join(row[0] for row in rows)
    for what in ("run.py --cfg job", "HMA in a full step", "peak memory", "cached, 12 JPEGs", "head-only sweep"):
        assert what in whats or "skipped" in "\n".join(row[2] for row in rows), what
    exact = [row for row in rows if row[3] in ("identical", "all the same; no image by more than 1")]
    assert exact and all(row[4] == "yes" for row in exact)


def test_a_machine_adds_its_columns_and_takes_its_own_place_again(tmp_path: Path) -> None:
    same = "imports: {}", "torch: {}"
    first = [Measurement(same[0].format("2 s"), same[1].format("1 s"), "2.0 x", "at most 3 x", True)]
    second = [
        Measurement("steps: 4 s", "others", "0.5 x"),
        Measurement(same[0].format("9 s"), same[1].format("2 s"), "4.5 x", "at most 3 x", False),
    ]
    Machine("A B (C), 2 cores", "- date: 1", first).save(tmp_path)
    Machine("X, 8 cores", "- date: 2", []).save(tmp_path)
    Machine("X, 8 cores", "- date: 3", second).save(tmp_path)
    (tmp_path / "notes.md").write_text("To be known.\n")
    text = page(saved_machines(tmp_path), ["startup"], notes_of(tmp_path))
    assert [line for line in text.splitlines() if line.startswith("|")] == [
        "| what | against | target | A B (C), 2 cores | holds | X, 8 cores | holds |",
        "|---|---|---|---|---|---|---|",
        "| imports | torch | at most 3 x | 2.0 x; 2 s against 1 s | yes | 4.5 x; 9 s against 2 s | **no** |",
        "| steps | others |  |  |  | 0.5 x; 4 s |  |",
    ]
    assert "- date: 3" in text and "- date: 2" not in text and text.endswith("\nTo be known.\n")


def test_the_page_is_what_the_machines_measured(repository: Path) -> None:
    folder = repository / "docs/benchmarks"
    assert page(saved_machines(folder), NAMES, notes_of(folder)) == (repository / "docs/BENCHMARKS.md").read_text()


def test_operations_are_those_that_torch_counts() -> None:
    """Multiply-adds of a step of the head; LayerNorm, softmax and such are not counted by either."""
    setting = Setting(rows=64, slots=4, classes=10, batch=16)
    head = filled_head(setting.rows, classes=setting.classes, slots=setting.slots)
    features, labels, ids = batch(setting.batch, classes=setting.classes)
    features.requires_grad_()  # as on a backbone that trains: every product has two gradients
    with FlopCounterMode(display=False) as counter:
        cross_entropy(head(features, ids), labels).backward()
    assert counter.get_total_flops() / 2 == pytest.approx(sum(setting.operations().values()), rel=0.05)
