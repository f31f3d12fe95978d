"""Folds of one seed are pooled: metrics, pairs, what is missing and what is refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.compare.__main__ import main
from analysis.compare.records.archive import write_archive
from analysis.compare.records.directories import load_directories, read_predictions
from analysis.compare.records.run import Sweep
from hma_ft.engine.metrics import evaluate_predictions
from tests.analysis.compare.conftest import CLASSES, WriteRun
from tests.analysis.compare.test_choice import compare, refusal, summary

SIZES = {1: 40, 2: 24, 3: 12}  # test images of each fold


@pytest.fixture
def write_fold(write_run: WriteRun) -> WriteRun:
    """`write_fold("head", 2, seed=0, right=12)`: the run of fold 2 of 3, with keys that no other fold has."""

    def write(method: str, number: int, *, seed: int, right: int, count: int = 3, **more: Any) -> Path:
        size = SIZES[number]
        more = {"keys": 1000 * number + np.arange(size)} | more
        settings = {"dataset.options": {"fold": f"{number}/{count}"}} | more.pop("settings", {})
        digests = {f"{split}_digest": f"{split} {number}" for split in ("train", "val", "test")}
        data = digests | {"test": size} | more.pop("data", {})
        return write_run(method, seed=seed, right=np.arange(size) < right, settings=settings, data=data, **more)

    return write


def write_seeds(write_fold: WriteRun, gains: Mapping[str, int], seeds: int = 2, **more: Any) -> None:
    """All folds of some seeds; the methods differ by their gain in fold 2."""
    for method, gain in gains.items():
        for seed in range(seeds):
            for number, size in SIZES.items():
                right = size // 2 + seed + (gain if number == 2 else 0)
                write_fold(method, number, seed=seed, right=right, **more)


@pytest.mark.parametrize("metric", ["top1", "top5", "mean_per_class", "nll", "ece", "aurc"])
def test_a_seed_is_scored_over_the_images_of_its_folds(tmp_path: Path, write_fold: WriteRun, metric: str) -> None:
    write_seeds(write_fold, {"head": 0, "full": 6})
    row = summary(compare(tmp_path, "--metric", metric))["full"]
    expected = []
    for seed in range(2):
        paths = (tmp_path / "runs/digits").glob(f"full-seed{seed}-*/predictions.npz")
        parts = [read_predictions(path) for path in paths]
        probabilities = torch.cat([torch.from_numpy(part.probabilities) for part in parts])
        labels = torch.cat([torch.from_numpy(part.labels) for part in parts])
        expected.append(evaluate_predictions(probabilities, labels, CLASSES).scalars("test")[f"test/{metric}"])
    assert row["seeds"] == ["0", "1"] and row["values"] == pytest.approx(expected, abs=1e-6)
    if metric == "top1":  # 20 + 18 + 6 of 76, which is not the mean of the folds' shares
        assert row["values"][0] == 44 / 76


def test_seeds_are_paired_over_pooled_images(tmp_path: Path, write_fold: WriteRun) -> None:
    write_seeds(write_fold, {"head": 0, "full": 6}, seeds=6)
    found = compare(tmp_path, "--baseline", "head")
    (paired,) = found["tables"]["paired"]["rows"]
    assert paired["differences"] == pytest.approx({str(seed): 6 / 76 for seed in range(6)})
    (row,) = found["tables"]["verdict"]["rows"]
    assert (row["seeds"], row["images"], row["groups"], row["basis"]) == (6, 76, 0, "seeds and images")
    assert row["difference"] == pytest.approx(6 / 76) and row["low"] < 6 / 76 < row["high"]
    (row,) = found["tables"]["images"]["rows"]
    assert (row["images"], row["better"] > 0, row["worse"]) == (76, True, 0)
    assert found["groups"] == ["full", "head"] and len(found["tables"]["runs"]["rows"]) == 36
    assert {row["fold"] for row in found["tables"]["runs"]["rows"]} == {"1/3", "2/3", "3/3"}
    assert any("over the images of its 3 folds together" in line for line in found["notes"])


def test_one_seed_of_many_folds_is_one_seed(tmp_path: Path, write_fold: WriteRun) -> None:
    write_seeds(write_fold, {"head": 0, "full": 6}, seeds=1)
    (row,) = compare(tmp_path, "--baseline", "head")["tables"]["verdict"]["rows"]
    assert row["seeds"] == 1 and row["verdict"] == "underpowered (needs 6 seeds)" and row["low"] is None


def test_a_fold_on_its_own_is_a_test_split(tmp_path: Path, write_fold: WriteRun) -> None:
    write_seeds(write_fold, {"head": 0, "full": 6})
    found = compare(tmp_path, "--where", "dataset.options.fold=2/3", "--baseline", "head")
    assert summary(found)["full"]["values"] == pytest.approx([18 / 24, 19 / 24])
    assert not any("together" in line for line in found["notes"])


def test_seeds_without_some_fold_are_left_out(tmp_path: Path, write_fold: WriteRun) -> None:
    write_seeds(write_fold, {"head": 0, "full": 6})
    (path,) = [p for p in (tmp_path / "runs/digits").glob("full-seed1-*") if "2/3" in (p / "config.yaml").read_text()]
    (path / "status.json").unlink()
    found = compare(tmp_path, "--baseline", "head")
    line = "full on digits: seed 1 lacks 2/3: left out, as scores are over the images of all folds"
    assert line in found["notes"] and summary(found)["full"]["seeds"] == ["0"]
    assert any("the seeds on digits differ" in note for note in found["notes"])
    (row,) = found["tables"]["verdict"]["rows"]
    assert row["seeds"] == 1 and row["images"] == 76


def test_a_group_without_a_whole_seed_is_refused(
    tmp_path: Path, write_fold: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seeds(write_fold, {"head": 0})
    write_fold("full", 1, seed=0, right=9)
    assert "no seed of full on digits has all folds in one setting (seed 0 lacks 2/3, 3/3)" in refusal(tmp_path, capsys)


def test_other_numbers_of_folds_are_refused(
    tmp_path: Path, write_fold: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seeds(write_fold, {"head": 0})
    write_seeds(write_fold, {"full": 0}, count=5)
    assert "runs on digits have 3 and 5 folds" in refusal(tmp_path, capsys)


def test_runs_without_folds_are_no_match(
    tmp_path: Path, write_fold: WriteRun, write_run: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seeds(write_fold, {"head": 0})
    write_run("full", seed=0, right=9)
    assert "dataset.options.fold on digits is not the same: none (1 runs" in refusal(tmp_path, capsys)


@pytest.mark.parametrize(("copies", "refused"), [(0, True), (5, False)])
def test_folds_that_share_images_are_refused(
    tmp_path: Path, write_fold: WriteRun, capsys: pytest.CaptureFixture[str], copies: int, refused: bool
) -> None:
    """Five equal images in two folds are those folds' overlap, unless the records say that files have copies."""
    keys = {1: np.arange(40), 2: np.arange(35, 59), 3: np.arange(100, 112)}
    for method in ("head", "full"):
        for number in SIZES:
            data = {"test_in_train": copies}
            write_fold(method, number, seed=0, right=number, keys=keys[number], data=data)
    if refused:
        assert "folds 1 and 2 of seed 0 of full on digits share 5 test images" in refusal(tmp_path, capsys)
    else:
        assert compare(tmp_path, "--baseline", "head")["tables"]["images"]["rows"][0]["images"] == 76


def test_the_splits_of_each_fold_must_be_equal(
    tmp_path: Path, write_fold: WriteRun, capsys: pytest.CaptureFixture[str]
) -> None:
    write_seeds(write_fold, {"head": 0})
    for number in SIZES:
        write_fold("full", number, seed=0, right=5, data={"train_digest": f"train {number % 2}"})
    assert "the train split of fold 2/3 on digits is not the same" in refusal(tmp_path, capsys)


def test_val_chooses_by_the_mean_over_folds(tmp_path: Path, write_fold: WriteRun) -> None:
    val = {0.01: (0.9, 0.2, 0.2), 0.1: (0.5, 0.5, 0.5)}
    for lr, values in val.items():
        for number, of_fold in enumerate(values, start=1):
            write_fold("head", number, seed=0, right=6, val=of_fold, settings={"optimizer.lr": lr})
    row = summary(compare(tmp_path))["head"]
    assert row["chosen"] == {"optimizer.lr": "0.1"} and row["val_mean"] == pytest.approx(0.5)


def test_every_seed_may_draw_folds_of_its_own(tmp_path: Path, write_fold: WriteRun) -> None:
    """The same 76 images, otherwise divided: they are known by their keys."""
    for method, gain in (("head", 0), ("full", 6)):
        for seed in range(2):
            keys = np.random.default_rng(seed).permutation(76)
            for number, own in zip(SIZES, np.split(keys, [40, 64]), strict=True):
                right = 6 + (gain if number == 1 else 0)
                data = {f"{split}_digest": f"{split} {number} {seed}" for split in ("train", "val", "test")}
                settings = {"dataset.split_seed": seed}
                write_fold(method, number, seed=seed, right=right, keys=own, data=data, settings=settings)
    (row,) = compare(tmp_path, "--baseline", "head")["tables"]["verdict"]["rows"]
    assert (row["images"], row["images_per_seed"], row["basis"]) == (76, 76, "seeds and images")


def test_an_archive_holds_folds_and_groups(tmp_path: Path, write_fold: WriteRun) -> None:
    for method, gain in (("head", 0), ("full", 3)):
        for seed in range(2):
            for number, size in SIZES.items():
                groups = 100 * number + np.arange(size) // 4
                write_fold(method, number, seed=seed, right=6 + gain + seed, groups=groups)
    before = compare(tmp_path, "--baseline", "head")["tables"]
    runs = load_directories([tmp_path / "runs"]).runs
    write_archive(runs, Sweep("cv", "cv-1", frozenset(run.fingerprint for run in runs), len(runs)), tmp_path / "kept")
    options = ["--baseline", "head", "--no-figures", "--out", str(tmp_path / "again")]
    assert main(["--runs", str(tmp_path / "kept"), *options]) == 0
    after = json.loads((tmp_path / "again/comparison.json").read_text())["tables"]
    assert before["verdict"]["rows"][0]["groups"] == 19
    for name in ("summary", "verdict", "images", "paired", "cost"):
        assert after[name]["rows"] == before[name]["rows"], name
