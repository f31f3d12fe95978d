"""`task=predict` with what a run directory holds and nothing else: files, neighbours, images without a class."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from hma_ft.config.schema import Config, Device, Task
from hma_ft.errors import UserError
from hma_ft.rundir.val_predictions import FILE, ValPredictions, read_val_predictions
from hma_ft.tasks.predict import predict
from tests.finished.conftest import CLASSES, Finished, Train

FULL = ("method=full",)
KNN = ("method=knn", "trainer.precision=bf16")  # as in test_without_data, which trains it too
HMA = ("method=hma", "trainer.precision=bf16", "trainer.channels_last=true")


def alone(run: Finished, folder: Path) -> Finished:
    """A copy of the run directory as on another machine, where neither data nor weights lie."""
    copy = run.copy(folder)
    path = copy.directory / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["model"]["weights"], config["dataset"]["root"] = "/nowhere/weights.pth", "/nowhere/images"
    config["runs_dir"] = "/nowhere/runs"
    path.write_text(yaml.safe_dump(config))
    return copy


def rows(run: Finished, images: Path, output: Path, **values: Any) -> list[dict[str, Any]]:
    """What is written for each image, in the order of the files."""
    config = Config(task=Task.predict, run=str(run.directory), input=str(images), output=str(output), **values)
    config.trainer.device, config.trainer.num_workers = Device.cpu, 0
    assert predict(config) == 0
    text = output.read_text()
    if output.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def test_a_run_directory_is_all_it_takes(finished: Train, tmp_path: Path) -> None:
    run = finished(*FULL)
    found = rows(alone(run, tmp_path), run.root / "test", tmp_path / "out.jsonl")
    assert [row["file"] for row in found][:2] == ["apple/0.png", "apple/1.png"]
    values = np.array([[row["probabilities"][name] for name in CLASSES] for row in found])
    np.testing.assert_allclose(values, run.probabilities, atol=1e-6)
    for row in found:
        assert list(row) == ["file", "class", "probability", "probabilities"]  # no memory, so nothing is near
        assert (row["class"], row["probability"]) == next(iter(row["probabilities"].items()))
        assert sum(row["probabilities"].values()) == pytest.approx(1)
    other = tmp_path / "out.json"
    with pytest.raises(UserError, match=r"output=.*out\.json: give NAME\.csv or NAME\.jsonl"):
        rows(run, run.root / "test", other)
    assert not other.exists()


def test_a_frozen_backbone_needs_its_weights_and_says_so_in_a_line(finished: Train, tmp_path: Path) -> None:
    run = finished(*KNN)
    with pytest.raises(UserError, match=r"stands on the pretrained weights /nowhere/weights.pth.*model.weights=FILE"):
        rows(alone(run, tmp_path), run.root / "test", tmp_path / "out.csv")


def test_a_memory_names_what_is_near(finished: Train, tmp_path: Path) -> None:
    """Training images are nearest to themselves."""
    run = finished(*KNN)
    found = rows(run, run.root / "train", tmp_path / "out.csv")
    assert list(found[0]) == [
        *("file", "class", "probability", "top1", "top2", "top3", "top4", "top5", "memory_distance", "nearest")
    ]
    assert len(found) == 24
    for row in found:
        nearest = row["nearest"].split("; ")
        label = row["file"].partition("/")[0]
        assert len(nearest) == 3 and nearest[0] == f"train/{row['file']} ({label})"
        assert float(row["memory_distance"]) == pytest.approx(0, abs=2e-3)  # features in bf16, of other batches
    (row, *_) = rows(run, run.root / "test", tmp_path / "out.jsonl", nearest=5)
    distances = [near["distance"] for near in row["nearest"]]
    assert len(distances) == 5 and distances == sorted(distances) and distances[0] == row["memory_distance"] > 0
    assert {near["class"] for near in row["nearest"]} <= set(CLASSES)
    assert "nearest" not in rows(run, run.root / "test", tmp_path / "out.jsonl", nearest=0)[0]


def test_the_queue_names_its_images_and_added_ones(finished: Train, tmp_path: Path) -> None:
    run = finished(*HMA)
    (row, *_) = rows(run, run.root / "test", tmp_path / "out.jsonl")
    assert all((run.root / near["image"]).is_file() for near in row["nearest"])
    assert all(near["image"].split("/")[1] == near["class"] for near in row["nearest"])
    added = tmp_path / "memory" / "plum"
    added.mkdir(parents=True)
    shutil.copy(run.root / "test" / "plum" / "0.png", added / "new.png")
    found = rows(run, run.root / "test", tmp_path / "out.jsonl", memory=str(tmp_path / "memory"))
    named = [near["image"] for row in found for near in row["nearest"]]
    assert str(added / "new.png") in named
    (own,) = [row for row in found if row["file"] == "plum/0.png"]
    assert str(added / "new.png") not in [near["image"] for near in own["nearest"]]  # nobody's own neighbour


@pytest.mark.parametrize("coverage", [0.25, 1.0])
def test_images_below_the_threshold_of_val_are_unknown(
    finished: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], coverage: float
) -> None:
    run = finished(*FULL)
    val = read_val_predictions(run.directory)
    assert val is not None and len(val.labels) == 12
    assert val.correct.mean() == pytest.approx(json.loads((run.directory / "result.json").read_text())["val/top1"])
    threshold = np.sort(val.confidence)[-round(coverage * 12)]
    found = rows(run, run.root / "test", tmp_path / "out.csv", coverage=coverage)
    below = run.probabilities.max(1) < threshold
    assert [row["class"] == "unknown" for row in found] == below.tolist()
    for row, own in zip(found, run.probabilities, strict=True):
        assert row["top1"].partition("=")[0] == CLASSES[own.argmax()]
        assert float(row["probability"]) == pytest.approx(own.max(), abs=1e-6)
    printed = capsys.readouterr().out
    assert f"unknown: probability below {threshold:.6f}, which {coverage:.1%} of the 12 val images reach" in printed
    assert f"15 images classified into {tmp_path / 'out.csv'}, {below.sum()} of them as unknown, 0 skipped" in printed


def test_a_record_without_val_says_what_to_do(finished: Train, tmp_path: Path) -> None:
    old = finished(*FULL).copy(tmp_path)
    (old.directory / FILE).unlink()
    with pytest.raises(UserError, match=r"coverage=0.9 needs confidences on val.*task=evaluate"):
        rows(old, finished(*FULL).root / "test", tmp_path / "out.csv", coverage=0.9)
    two = np.array([[0.6, 0.4], [0.9, 0.1]], dtype=np.float32)
    ValPredictions.of(two, np.array([0, 0])).write(old.directory)
    found = rows(old, finished(*FULL).root / "test", tmp_path / "out.csv", coverage=0.5)
    assert [row["class"] == "unknown" for row in found] == [float(row["probability"]) < 0.9 for row in found]
