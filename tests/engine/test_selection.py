"""Which weights are tested: the best on val, the last of training on train and val, those before patience ended."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hma_ft import experiment
from hma_ft.config.schema import Selection
from hma_ft.data.splits import load_splits
from hma_ft.engine import checkpoint
from hma_ft.errors import UserError
from hma_ft.rundir.metric_log import read_rows
from hma_ft.rundir.result import read_result
from hma_ft.rundir.status import read_status
from tests.config.test_compose import composed

SETTINGS = (
    *("model=vit_micro", "dataset=digits", "augment=digits", "tracking=off", "dataset.train_per_class=4"),
    *("trainer.device=cpu", "trainer.num_workers=0", "trainer.batch_size=8", "trainer.eval_every=2"),
    *("optimizer=sgd", "scheduler.warmup_steps=0", "scheduler.name=constant"),
)


def trained(folder: Path, *overrides: str) -> tuple[Path, dict[str, Any]]:
    """The directory and the result of a run."""
    config = composed(*SETTINGS, f"runs_dir={folder}", *overrides)
    directory = experiment.run(config).directory
    return directory, read_result(directory)


def test_the_last_weights_of_training_on_train_and_val(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory, result = trained(tmp_path, "method=head", "trainer.select=last", "trainer.max_steps=5")
    assert result["best/step"] == 5 and not [name for name in result if name.startswith("val")]
    assert result["data/train"] == 40 + 269 and result["data/val"] == 269
    assert result["data/test_in_train"] >= 0 and "data/val_in_train" not in result
    assert not [row for row in read_rows(directory / "metrics.jsonl") if "val/top1" in row]
    assert "val is trained on (269 images), and chooses nothing" in capsys.readouterr().out
    weights = torch.load(next((directory / "checkpoints").glob("best-*.pt")), weights_only=True)["method"]
    newest = checkpoint.load_newest(directory / "checkpoints", kind="step")
    assert newest is not None and newest["state"]["step"] == 5
    last = newest["learner"]["method"]
    assert all(torch.equal(weights[name], last[name]) for name in weights)


def test_val_stands_behind_train() -> None:
    config = composed(*SETTINGS, "dataset.held_out_classes=2").dataset
    apart, joined = load_splits(config), load_splits(config, select=Selection.last)
    assert joined.train.labels.tolist() == [*apart.train.labels.tolist(), *apart.val.labels.tolist()]
    assert joined.train.content_digests() == apart.train.content_digests() + apart.val.content_digests()
    assert torch.equal(joined.train.load(40), apart.val.load(0))
    assert torch.equal(joined.train.load(39), apart.train.load(39))
    assert joined.seen_in_training is not None and apart.seen_in_training is not None
    new = set(apart.train.labels.tolist()) - set(apart.val.labels.tolist())
    assert len(joined.seen_in_training) == len(apart.seen_in_training) + len(apart.val)
    assert not new & set(joined.train.labels[joined.seen_in_training].tolist())


def test_what_chooses_on_val_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trainer.select=last trains on val, and method=head_knn_tuned chooses there"):
        trained(tmp_path, "method=head_knn_tuned", "trainer.select=last", "trainer.max_steps=2")


def test_patience_ends_a_run_that_does_not_improve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a learning rate that moves no weight, the first evaluation is the best."""
    overrides = ("method=head", "trainer.max_steps=40", "optimizer.lr=1e-30", "trainer.patience=3")
    directory, result = trained(tmp_path, *overrides)
    status = read_status(directory)
    assert status is not None and status.step == status.max_steps == 8
    assert result["best/step"] == 2
    assert max(row["step"] for row in read_rows(directory / "metrics.jsonl")) == 8
    said = " ".join(capsys.readouterr().out.split())
    assert "stopped at step 8 of 40: val has not improved in 3 evaluations since step 2" in said
    assert "the learning rate was at 100% of its peak" in said
    assert json.loads((directory / "status.json").read_text())["state"] == "finished"


def test_patience_that_does_not_end_changes_nothing(tmp_path: Path) -> None:
    overrides = ("method=head", "trainer.max_steps=6", "optimizer.lr=0.1")
    (_, without), (_, patient) = (trained(tmp_path, *overrides, f"trainer.patience={p}") for p in ("null", "50"))
    assert without["test/nll"] == patient["test/nll"] and without["val/nll"] == patient["val/nll"]


def test_unequal_classes_change_training_and_nothing_else(tmp_path: Path) -> None:
    overrides = ("method=head", "trainer.max_steps=2", "optimizer.lr=0.1", "augment.mixup_alpha=0.5")
    changes = ("trainer.sampling=balanced", "trainer.class_weights=balanced", "trainer.logit_adjustment=1")
    config = (*overrides, "dataset.train_per_class=null", "dataset.label_noise=0.3")  # which makes classes unequal
    results = [trained(tmp_path, *config, *change)[1] for change in ((), *((change,) for change in changes), changes)]
    assert len({result["test/nll"] for result in results}) == 5
    assert len({result["data/train_content"] for result in results}) == 1
