"""Images that splits share are counted and named, whatever they are called, in files and in arrays."""

import dataclasses
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hma_ft.config.schema import Corruption, DatasetConfig
from hma_ft.data.datasets.base import ArrayDataset
from hma_ft.data.equal_images import equal_across_splits, in_one_line
from hma_ft.data.splits import load_splits
from tests.data.layouts import LAYOUTS
from tests.data.test_datasets import configured

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def counts(config: DatasetConfig) -> dict[str, int | str]:
    described = load_splits(config).description
    return {name: described[name] for name in ("test_in_train", "test_in_val", "val_in_train")}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a val split, without equal images."""
    LAYOUTS["folder"](tmp_path, monkeypatch)
    shutil.copytree(tmp_path / "test", tmp_path / "val")
    for number, path in enumerate(sorted((tmp_path / "val").rglob("*.png"))):
        path.write_bytes(path.read_bytes() + bytes(number + 1))
    return tmp_path


def test_files_are_compared_by_their_bytes(root: Path) -> None:
    config = configured("folder", root)
    assert counts(config) == {"test_in_train": 0, "test_in_val": 0, "val_in_train": 0}
    shutil.copy(root / "train/cat/0.png", root / "test/dog/renamed.png")  # even of another class
    shutil.copy(root / "train/cat/0.png", root / "test/cat/1.png")
    shutil.copy(root / "train/cat/0.png", root / "train/cat/again.png")
    shutil.copy(root / "val/dog/2.png", root / "test/dog/3.png")
    shutil.copy(root / "val/dog/2.png", root / "train/dog/3.png")
    assert counts(config) == {"test_in_train": 3, "test_in_val": 1, "val_in_train": 1}
    splits = load_splits(config)
    train, val, leaked = splits.equal_images
    assert train.names == [
        ("test/cat/1.png", "train/cat/0.png"),
        ("test/dog/3.png", "train/dog/3.png"),
        ("test/dog/renamed.png", "train/cat/0.png"),
    ]
    assert (val.names, leaked.names) == ([("test/dog/3.png", "val/dog/2.png")], [("val/dog/2.png", "train/dog/3.png")])
    assert in_one_line(splits.equal_images, {"train": 11, "val": 10, "test": 11}) == (
        "3 of 11 test images are in train, 1 of 11 test images are in val, 1 of 10 val images are in train, byte for "
        "byte (such as test/cat/1.png = train/cat/0.png; test/dog/3.png = train/dog/3.png; "
        "test/dog/renamed.png = train/cat/0.png)"
    )


def test_what_a_run_does_to_its_images_hides_nothing(root: Path) -> None:
    shutil.copy(root / "train/cat/0.png", root / "test/cat/1.png")
    changes = {"test_corruption": Corruption.noise, "label_noise": 0.3, "train_per_class": 5}
    changed = dataclasses.replace(configured("folder", root), **changes)  # type: ignore[arg-type]
    assert counts(changed)["test_in_train"] == 1


def test_images_in_memory_are_compared_by_pixels_and_shape() -> None:
    generator = torch.Generator().manual_seed(0)

    def split(images: Tensor) -> ArrayDataset:
        return ArrayDataset(images, torch.zeros(len(images), dtype=torch.int64), ["one"])

    train = torch.randint(0, 256, (6, 3, 4, 9), generator=generator, dtype=torch.uint8)
    test = torch.randint(0, 256, (4, 3, 4, 9), generator=generator, dtype=torch.uint8)
    test[1] = train[5]
    channels_last = test.contiguous(memory_format=torch.channels_last)
    reshaped = train.reshape(6, 3, 9, 4)  # the same bytes in another shape
    for images, in_train, in_val in ((test, 1, 0), (channels_last, 1, 0), (reshaped, 0, 6)):
        found = equal_across_splits({"train": split(train), "val": split(reshaped), "test": split(images)})
        assert [pair.count for pair in found] == [in_train, in_val, 0]
        assert found[0].names == ([("1", "5")] if in_train else [])


def test_arrays_of_torchvision_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["cifar10"](tmp_path, monkeypatch)  # whose train and test batches have other numbers
    found = counts(configured("cifar10", tmp_path))
    assert sum(int(count) for count in found.values()) == 0
    folder = tmp_path / "cifar-10-batches-py"
    shutil.copy(folder / "train", folder / "test")
    from torchvision import datasets

    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test", datasets.CIFAR10.train_list[0][1]]])
    found = counts(configured("cifar10", tmp_path))
    assert int(found["test_in_train"]) + int(found["test_in_val"]) == 10
    assert counts(DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits"))["test_in_train"] == 0


@pytest.mark.slow
def test_a_run_and_prepare_say_so(run_py: RunPy, tiny: list[str], root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "train/cat/0.png", root / "test/cat/1.png")
    line = "warning: 1 of 10 test images are in train, byte for byte (such as test/cat/1.png = train/cat/0.png)"
    data = ["dataset=folder", f"dataset.root={root}"]
    prepared = run_py("task=prepare", *data)
    assert prepared.returncode == 0, prepared.stderr
    assert prepared.stdout.splitlines().count(line) == 1
    settings = [setting for setting in tiny if setting != "dataset=digits"]
    done = run_py(*settings, *data, "method=full", "trainer.max_steps=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines().count(line) == 1
    (directory,) = (tmp_path / "runs" / "folder").iterdir()
    for name, prefix in (("data.json", ""), ("result.json", "data/")):
        recorded = json.loads((directory / name).read_text())
        assert [recorded[f"{prefix}{key}"] for key in ("test_in_train", "test_in_val", "val_in_train")] == [1, 0, 0]


def test_real_flowers_share_images(shared: Path) -> None:
    """Images scaled to 64 x 64; cmp agrees."""
    found = load_splits(configured("flowers102", shared / "data")).equal_images
    assert [pair.count for pair in found] == [1, 2, 0]
    for pair in found:
        for mine, theirs in pair.names:
            assert (shared / "data" / mine).read_bytes() == (shared / "data" / theirs).read_bytes()
