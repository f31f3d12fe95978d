"""Every data set: found in torchvision's layout, split as documented, read as RGB."""

from pathlib import Path

import pytest
import torch
import yaml
from torchvision import datasets

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.prepare import ensure_present
from hma_ft.data.splits import load_splits
from hma_ft.errors import UserError
from tests.data.layouts import LAYOUTS, PER_CLASS, Build

CONF = Path(__file__).resolve().parents[2] / "conf" / "dataset"
OFFICIAL_VAL = {"aircraft", "dtd", "flowers102"}


def configured(name: str, root: Path) -> DatasetConfig:
    """conf/dataset/NAME.yaml at a root."""
    return DatasetConfig(root=str(root), **yaml.safe_load((CONF / f"{name}.yaml").read_text()))


@pytest.mark.parametrize(("name", "build"), LAYOUTS.items(), ids=LAYOUTS.keys())
def test_three_splits_with_the_data_sets_own_classes(
    name: str, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, monkeypatch)
    config = configured(name, tmp_path)
    ensure_present(config)
    splits = load_splits(config)
    assert len(splits.class_names) == 2
    sizes = [len(split) for split in (splits.train, splits.val, splits.test)]
    whole = 2 * PER_CLASS
    assert sizes == ([whole] * 3 if name in OFFICIAL_VAL else [whole - 2, 2, whole])
    keys = [split.sample_id(i) for split in (splits.train, splits.val) for i in range(len(split))]
    assert len(set(keys)) == len(keys)
    for split in (splits.train, splits.val, splits.test):
        assert split.labels.unique().tolist() == [0, 1]
        image = split.load(len(split) - 1)
        assert image.dtype == torch.uint8
        assert image.shape[0] == 3


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "folder"])
def test_what_is_missing_is_said_with_the_command(name: str, tmp_path: Path) -> None:
    config = configured(name, tmp_path)
    config.download = False
    with pytest.raises(UserError) as refused:
        ensure_present(config)
    (line,) = str(refused.value).splitlines()
    assert f"python run.py task=prepare dataset={name} dataset.root={tmp_path}" in line


def test_cars_says_which_files_go_where(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cars_test_annos_withlabels.mat into .*stanford_cars"):
        ensure_present(configured("cars", tmp_path))


def test_the_real_textures_and_flowers(shared: Path) -> None:
    textures = load_splits(configured("dtd", shared / "data"))
    assert [len(s) for s in (textures.train, textures.val, textures.test)] == [400, 400, 400]
    assert textures.class_names[:2] == ["banded", "blotchy"]
    flowers = load_splits(configured("flowers102", shared / "data"))
    assert [len(s) for s in (flowers.train, flowers.val, flowers.test)] == [1020, 1020, 6149]
    assert len(flowers.class_names) == 102
    theirs = datasets.DTD(str(shared / "data"), "test")
    assert textures.test.labels.tolist() == [theirs[i][1] for i in range(len(theirs))]


def test_a_real_folder_without_val(shared: Path) -> None:
    splits = load_splits(configured("folder", shared / "data" / "cifar10_subset"))
    assert len(splits.train) + len(splits.val) == 5170
    assert len(splits.test) == 1017
    share = splits.val.labels.bincount() / torch.cat([splits.train.labels, splits.val.labels]).bincount()
    torch.testing.assert_close(share, torch.full((10,), 0.2), atol=0.002, rtol=0)


class TestFolder:
    """Mistakes in one's own folders."""

    def splits(self, root: Path) -> None:
        load_splits(configured("folder", root))

    def test_a_class_that_train_lacks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        LAYOUTS["folder"](tmp_path, monkeypatch)
        (tmp_path / "test" / "horse").mkdir()
        with pytest.raises(UserError, match="test has classes that train lacks: horse"):
            self.splits(tmp_path)

    def test_no_classes(self, tmp_path: Path) -> None:
        (tmp_path / "train").mkdir()
        with pytest.raises(UserError, match="holds no folders: each class needs one"):
            self.splits(tmp_path)

    def test_no_images(self, tmp_path: Path) -> None:
        (tmp_path / "train" / "cat").mkdir(parents=True)
        (tmp_path / "test" / "cat").mkdir(parents=True)
        with pytest.raises(UserError, match="train holds no images"):
            self.splits(tmp_path)

    def test_its_own_val_folder_is_used(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        LAYOUTS["folder"](tmp_path, monkeypatch)
        (tmp_path / "test").rename(tmp_path / "val")
        LAYOUTS["folder"](tmp_path, monkeypatch)
        splits = load_splits(configured("folder", tmp_path))
        assert [len(s) for s in (splits.train, splits.val, splits.test)] == [2 * PER_CLASS] * 3
