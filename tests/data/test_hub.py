"""Tables of the Hugging Face hub, written here as parquet."""

from pathlib import Path

import pytest
import torch

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.datasets.hub import Hub
from hma_ft.data.decode import decode
from hma_ft.data.splits import create_dataset_builder, load_splits
from hma_ft.errors import UserError
from tests.config.test_compose import composed
from tests.data.layouts import image

datasets = pytest.importorskip("datasets")
NAMES = ["owl", "crow"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def configured(root: Path, **options: str) -> DatasetConfig:
    config = composed("dataset=hub", f"dataset.root={root}").dataset
    config.options |= options
    return config


def table(folder: Path, first: int, count: int) -> "datasets.Dataset":
    """Images `first` on of two classes in turn, and a farm for every four."""
    numbers = range(first, first + count)
    for number in numbers:
        image(folder / f"{number}.png", number, (5, 4))
    content = {
        "picture": [{"bytes": (folder / f"{number}.png").read_bytes(), "path": None} for number in numbers],
        "label": [number % 2 for number in numbers],
        "farm": [f"farm {number // 4}" for number in numbers],
    }
    features = {
        "picture": datasets.Image(),
        "label": datasets.ClassLabel(names=NAMES),
        "farm": datasets.Value("string"),
    }
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of parquet files as the hub has them: 24 training images, 8 for test."""
    (tmp_path / "parquet" / "data").mkdir(parents=True)
    for split, first, count in (("train", 0, 24), ("test", 24, 8)):
        table(tmp_path / "images", first, count).to_parquet(
            tmp_path / "parquet" / "data" / f"{split}-00000-of-00001.parquet"
        )
    return tmp_path / "parquet"


def test_parquet_files_become_splits_decoded_by_our_decoder(root: Path) -> None:
    splits = load_splits(configured(root))
    assert splits.class_names == NAMES
    assert [len(samples) for samples in splits.by_name.values()] == [19, 5, 8]
    assert splits.test.labels.tolist() == [0, 1] * 4
    assert torch.equal(splits.test.load(3), decode(root.parent / "images/27.png"))
    assert splits.test.sample_id(3) == "test/3"


def test_groups_are_a_column(root: Path) -> None:
    (root / "data" / "test-00000-of-00001.parquet").unlink()
    splits = load_splits(configured(root, group="farm"))
    farms = [{int(s.sample_id(i).split("/")[1]) // 4 for i in range(len(s))} for s in splits.by_name.values()]
    assert sorted(farm for own in farms for farm in own) == list(range(6))


def test_an_image_folder_is_read_with_its_files(root: Path) -> None:
    for number in range(12):
        image(root.parent / "folder/train" / NAMES[number % 2] / f"{number}.png", number, (5, 4))
    splits = load_splits(configured(root.parent / "folder"))
    assert splits.class_names == sorted(NAMES)
    assert sum(len(samples) for samples in splits.by_name.values()) == 12
    assert splits.train.load(0).shape == (3, 4, 5)


def test_what_was_fetched_is_read_without_the_network(root: Path, tmp_path: Path) -> None:
    config = configured(tmp_path / "data", id="birds/farms", revision="v1")
    builder = create_dataset_builder(config)
    assert isinstance(builder, Hub) and not builder.is_present()
    with pytest.raises(UserError, match=r"birds/farms is not below dataset.root=.*once, with network"):
        load_splits(config)
    fetched = datasets.load_dataset(str(root))
    builder.keep(fetched, {"id": "birds/farms", "config": None, "revision": "0123456789abcdef"})
    assert builder.is_present()
    assert builder.scan().layout == "birds/farms@0123456789ab: train (24), test (8)"
    local, kept = load_splits(configured(root)), load_splits(config)
    assert local.description == kept.description


def test_an_image_without_a_group_is_one_line(root: Path) -> None:
    (root / "data" / "test-00000-of-00001.parquet").unlink()
    (path,) = (root / "data").glob("train-*.parquet")
    table = datasets.Dataset.from_parquet(str(path))
    farms = [str(farm) for farm in table["farm"]]
    table.remove_columns("farm").add_column("farm", [None, "", *farms[2:]]).to_parquet(str(path))
    with pytest.raises(UserError, match=rf"2 images of {len(farms)} have no group in column farm"):
        load_splits(configured(root, group="farm"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"label": "species"}, "dataset.options.label=species is no column: there are picture, label, farm"),
        ({"group": "barn"}, "dataset.options.group=barn is no column"),
        ({"fold": "1/3"}, "dataset.options.fold is for images without a test split"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(root: Path, options: dict[str, str], problem: str) -> None:
    with pytest.raises(UserError) as raised:
        load_splits(configured(root, **options))
    assert problem in str(raised.value) and "\n" not in str(raised.value)


def test_a_folder_of_nothing_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"can't be read by the package datasets \(") as raised:
        load_splits(configured(tmp_path / "empty"))
    assert "\n" not in str(raised.value)
