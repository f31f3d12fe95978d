"""The val split of data sets that have none."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.datasets.base import ArrayDataset, DatasetBuilder, ImageDataset
from hma_ft.data.draws import stratified
from hma_ft.data.splits import load_splits
from hma_ft.errors import UserError

DIGITS = DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits")


def test_every_class_keeps_its_share() -> None:
    labels = torch.arange(3).repeat_interleave(torch.tensor([100, 50, 10]))
    train, val = stratified(labels, 0.2, 0)
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(160))
    assert labels[val].bincount().tolist() == [20, 10, 2]


@pytest.mark.parametrize("counts", [[1, 1, 1, 9], [2, 2, 2], [1, 30]])
def test_rare_classes_stay_in_train(counts: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    train, val = stratified(labels, 0.2, 0)
    assert set(labels[train].tolist()) == set(range(len(counts)))
    assert len(val) > 0
    assert not set(train.tolist()) & set(val.tolist())


def test_only_the_split_seed_moves_it() -> None:
    labels = torch.arange(200) % 7
    torch.manual_seed(1)
    first = stratified(labels, 0.2, 0)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, stratified(labels, 0.2, 0), strict=True))
    assert not torch.equal(first[1], stratified(labels, 0.2, 1)[1])


def test_the_same_in_another_process(repository: Path) -> None:
    program = (
        "from tests.data.test_splits import DIGITS\n"
        "from hma_ft.data.splits import load_splits\n"
        "print(load_splits(DIGITS).description)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(load_splits(DIGITS).description)


class Made(DatasetBuilder):
    """Four grey images; options.labels says of which classes."""

    def splits(self) -> dict[str, ImageDataset]:
        labels = torch.tensor(self.options["labels"])
        images = torch.arange(4 * 3 * 64).view(4, 3, 8, 8).to(torch.uint8)
        return {split: ArrayDataset(images, labels, ["cat", "dog", "owl"]) for split in ("train", "test")}


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([1, 1, 1, 1], "train has one class only, dog: a classifier needs two"),
        ([0, 0, 1, 1], "train has no images of owl: add some, or take the class out"),
    ],
)
def test_every_source_needs_two_classes_and_images_of_each(labels: list[int], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        load_splits(DatasetConfig(target=f"{__name__}.Made", options={"labels": labels}))


def test_digests_tell_splits_apart() -> None:
    one = load_splits(DIGITS).description
    other = load_splits(DatasetConfig(**{**DIGITS.__dict__, "split_seed": 1})).description
    assert one["test_digest"] == other["test_digest"]
    assert one["val_digest"] != other["val_digest"]
    assert (one["train"], one["val"], one["test"], one["classes"]) == (1078, 269, 450, 10)
