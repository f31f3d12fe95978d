"""What the queue of a real run holds, against the order in which the loader gave the samples."""

import csv
from pathlib import Path

import pytest

from analysis.memory.contents import contents
from analysis.trained import open_run
from hma_ft.data.batch_sampler import step_batch
from hma_ft.engine.evaluate import Evaluator
from tests.analysis.conftest import Tool, Train

BATCH = 16


@pytest.mark.slow
def test_the_queue_holds_the_last_steps(hma_run: Path) -> None:
    trained = open_run(str(hma_run), device="cpu")
    real, support, synthetic = contents(trained)
    train = trained.splits.train
    assert isinstance(trained.evaluator, Evaluator)
    written = [
        (step + 1, sample) for step in range(12) for _, sample in step_batch(len(train), BATCH, seed=0, step=step)
    ]
    expected = list(reversed(written[-40:]))  # the best weights are those of the last step: val is read once
    assert [(row.step, row.id) for row in real.rows] == expected
    assert all(row.label == int(train.labels[row.id]) and row.file == train.sample_id(row.id) for row in real.rows)
    assert (real.size, real.masked, real.steps) == (40, 0, (10, 12))
    labels = [int(train.labels[sample]) for _, sample in expected]
    assert real.per_class.tolist() == [labels.count(label) for label in range(10)]
    norms = trained.head.real_memory.features.double().pow(2).sum(1).sqrt()
    assert real.norms[:3] == pytest.approx((norms.min().item(), norms.mean().item(), norms.max().item()), rel=1e-5)
    assert support.per_class.tolist() == [3] * 10 and support.steps is None
    assert synthetic.per_class.tolist() == [2] * 10 and synthetic.images == 0


@pytest.mark.slow
def test_rows_go_into_a_table(train: Train, tool: Tool, tmp_path: Path) -> None:
    run = train(
        "method=hma_head", "method.hma.real.size=300", "augment.mixup_alpha=0.5", "method.hma.synthetic.slots=1"
    )
    result = tool("analysis.memory", f"run={run}", "out=rows.csv", "device=cpu")
    assert result.returncode == 0, result.stderr
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    real = [row for row in rows if row["memory"] == "real"]
    assert len(real) == 12 * BATCH  # the rest was never written
    assert "108" in result.stdout.splitlines()[3]  # masked rows
    assert any(row["mixed_with"] for row in real)


@pytest.mark.slow
def test_a_run_without_memory_is_refused(train: Train, tool: Tool) -> None:
    result = tool("analysis.memory", f"run={train('method=head')}")
    assert result.returncode == 2
    assert "has no memory: give a run of method=hma" in result.stderr
