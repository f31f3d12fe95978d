"""VTAB-1k in NOAH's layout."""

from pathlib import Path

import pytest

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.splits import load_splits
from hma_ft.errors import UserError
from tests.config.test_compose import composed
from tests.data.layouts import image


def configured(root: Path, task: str = "kitti") -> DatasetConfig:
    return composed("dataset=vtab", f"dataset.root={root}", f"dataset.options.task={task}").dataset


def write(root: Path) -> None:
    """kitti, whose train lacks class 3, as a sample of 800 of 397 scenes lacks some."""
    for split, labels in (("train800", [2, 0, 1, 0]), ("val200", [1, 2]), ("test", [3, 0, 1])):
        lines = []
        for number, label in enumerate(labels):
            image(root / "kitti/images" / split / f"{number:06d}.jpg", 10 * len(labels) + number, (4, 4))
            lines.append(f"images/{split}/{number:06d}.jpg {label}\n")
        (root / f"kitti/{split}.txt").write_text("".join(lines))


def test_splits_are_the_lists_and_classes_those_of_the_task(tmp_path: Path) -> None:
    write(tmp_path)
    config = configured(tmp_path)
    splits = load_splits(config)
    assert config.name == "vtab_kitti"
    assert splits.class_names == ["0", "1", "2", "3"]
    assert {name: samples.labels.tolist() for name, samples in splits.by_name.items()} == {
        "train": [2, 0, 1, 0],
        "val": [1, 2],
        "test": [3, 0, 1],
    }
    assert splits.test.sample_id(0) == "kitti/images/test/000000.jpg"


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no train800.txt, val200.txt, test.txt: dataset.root=\S+ must hold VTAB"):
        load_splits(configured(tmp_path))
    with pytest.raises(UserError, match=r"unknown dataset.options.task=imagenet: use one of cifar, caltech101, dtd"):
        load_splits(configured(tmp_path, "imagenet"))
    write(tmp_path)
    (tmp_path / "kitti/test.txt").write_text("images/test/000000.jpg 4\n")
    with pytest.raises(UserError, match=r"test.txt, line 1: test has classes that the data set lacks: 4$"):
        load_splits(configured(tmp_path))
