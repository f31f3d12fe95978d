"""Layouts of one's own folders: which are understood, and what the others are told."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.datasets.base import Scan
from hma_ft.data.splits import Splits, load_splits, scan_source
from hma_ft.errors import UserError
from tests.data.layouts import image

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def configured(root: Path, **changes: float) -> DatasetConfig:
    return DatasetConfig(name="folder", target="hma_ft.data.datasets.folder.Folder", root=str(root), **changes)  # type: ignore[arg-type]


def fill(root: Path, *folders: str, images: int = 10) -> None:
    for seed, folder in enumerate(folders):
        for number in range(images):
            image(root / folder / f"{number}.png", 100 * seed + number)


def scanned(root: Path) -> Scan:
    return scan_source(configured(root))


def sizes(splits: Splits) -> list[int]:
    return [len(samples) for samples in splits.by_name.values()]


def keys(splits: Splits, name: str) -> list[str]:
    samples = splits.by_name[name]
    return [samples.sample_id(index) for index in range(len(samples))]


def test_classes_alone_get_drawn_splits(tmp_path: Path) -> None:
    fill(tmp_path, "cat", "dog")
    splits = load_splits(configured(tmp_path))
    assert sizes(splits) == [13, 3, 4]
    assert splits.class_names == ["cat", "dog"]
    assert splits.test.labels.bincount().tolist() == [2, 2]
    everything = [key for name in ("train", "val", "test") for key in keys(splits, name)]
    assert sorted(everything) == sorted(f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10))
    assert splits.notes == [
        "there is no test split: 20% of the training images are drawn for it by dataset.split_seed=0"
    ]
    wider = load_splits(configured(tmp_path, val_fraction=0.5))
    assert keys(wider, "test") == keys(splits, "test") and len(wider.val) == 8
    assert keys(load_splits(configured(tmp_path, split_seed=1)), "test") != keys(splits, "test")
    assert len(load_splits(configured(tmp_path, test_fraction=0.4)).test) == 8


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev", "Valid"])
def test_usual_names_of_val(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "train/cat", "train/dog", f"{name}/cat", f"{name}/dog", "Test/cat", "Test/dog")
    splits = load_splits(configured(tmp_path))
    assert sizes(splits) == [20, 20, 20] and splits.notes == []
    assert keys(splits, "val")[0] == f"{name}/cat/0.png"


def test_val_without_test_stays_val(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "val/cat", "val/dog")
    splits = load_splits(configured(tmp_path))
    assert sizes(splits) == [16, 20, 4]
    assert all(key.startswith("val/") for key in keys(splits, "val"))
    assert all(key.startswith("train/") for key in keys(splits, "test"))
    (note,) = splits.notes
    assert note.endswith("drawn for it by dataset.split_seed=0, and val is taken as it is")


def test_what_is_left_unread_is_said(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "test/cat", "test/dog", "horse", "extra/deep")
    (tmp_path / "docs").mkdir()
    image(tmp_path / "train" / "stray.png", 9)
    assert scanned(tmp_path).notes == [
        f"left unread beside {tmp_path}/train: extra (10 images), horse (10 images)",
        f"left out: 1 image beside the class folders of {tmp_path}/train",
    ]


def test_a_class_that_is_called_like_a_split(tmp_path: Path) -> None:
    """A train among vehicles, and the control group's opposite."""
    fill(tmp_path / "a", "bus", "car", "train")
    fill(tmp_path / "b", "control", "test")
    assert load_splits(configured(tmp_path / "a")).class_names == ["bus", "car", "train"]
    assert load_splits(configured(tmp_path / "b")).class_names == ["control", "test"]
    assert scanned(tmp_path / "b").notes == [
        f"taken for a class, since images lie directly in it: test in {tmp_path}/b"
    ]


def test_class_names_are_composed_and_paths_stay(tmp_path: Path) -> None:
    fill(tmp_path, f"train/{COMPOSED}", "train/thé", f"test/{DECOMPOSED}", "test/thé")
    splits = load_splits(configured(tmp_path))
    assert splits.class_names == [COMPOSED, "thé"]
    assert sizes(splits)[2] == 20
    assert splits.test.load(0).shape == (3, 16, 20)


def test_a_class_name_that_is_no_utf8(tmp_path: Path) -> None:
    fill(tmp_path, b"caf\xe9".decode(errors="surrogateescape"), "dog")
    splits = load_splits(configured(tmp_path))
    assert splits.class_names == [r"caf\xe9", "dog"]
    assert all(isinstance(value, int) or value.encode() for value in splits.description.values())
    assert splits.train.load(0).shape == (3, 16, 20)


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    fill(tmp_path, "train/cat", "train/dog", "test/cat", "test/dog")
    fill(tmp_path, "__MACOSX/train/cat", "train/.ipynb_checkpoints", "train/@eaDir", "test/__MACOSX/cat")
    assert load_splits(configured(tmp_path)).class_names == ["cat", "dog"]


Mess = Callable[[Path], None]


def two_vals(root: Path) -> None:
    fill(root, "train/cat", "train/dog", "valid/cat", "dev/dog")


def zip_in_zip_of_train(root: Path) -> None:
    fill(root, "train/outer/cat", "train/outer/dog")


def zip_in_zip_of_both(root: Path) -> None:
    fill(root, "train/outer/cat", "train/outer/dog", "test/outer/cat", "test/outer/dog")


def wrapped_splits(root: Path) -> None:
    fill(root, "a/b/train/cat", "a/b/train/dog")


def wrapped_classes(root: Path) -> None:
    fill(root, "outer/cat", "outer/dog", "__MACOSX/outer/cat")


def empty_class(root: Path) -> None:
    fill(root, "train/cat", "train/dog", "test/cat")
    (root / "train" / "horse").mkdir()
    (root / "train" / "horse" / "film.mov").touch()


def one_class(root: Path) -> None:
    fill(root, "cat/a", "cat")


def one_class_of_train(root: Path) -> None:
    fill(root, "train/cat", "test/cat")


def same_class_twice(root: Path) -> None:
    fill(root, f"train/{COMPOSED}", f"train/{DECOMPOSED}", "train/dog")


def other_case(root: Path) -> None:
    fill(root, "train/Cat", "train/dog", "test/cat", "test/dgo")


def no_train(root: Path) -> None:
    fill(root, "test/cat", "cat", "dog")


def only_test(root: Path) -> None:
    fill(root, "test/cat", "test/dog")


def flat_test(root: Path) -> None:
    fill(root, "train/cat", "train/dog", "test")


def flat(root: Path) -> None:
    fill(root, ".", images=3)


def no_images(root: Path) -> None:
    (root / "train" / "cat").mkdir(parents=True)
    (root / "train" / "dog").mkdir()


def single_images(root: Path) -> None:
    fill(root, "train/cat", "train/dog", "test/cat", "test/dog", images=1)


@pytest.mark.parametrize(
    ("mess", "line"),
    [
        (two_vals, "{root} holds dev, valid, which all mean val: keep one, and move the others away"),
        (
            zip_in_zip_of_train,
            "{root}/train holds only the folder outer, which holds cat, dog: give dataset.root={root}/train/outer",
        ),
        (
            zip_in_zip_of_both,
            "{root}/train holds only the folder outer, which holds cat, dog: move these into {root}/train",
        ),
        (wrapped_splits, "{root} holds only the folder a, in which b holds train: give dataset.root={root}/a/b"),
        (wrapped_classes, "{root} holds only the folder outer, which holds cat, dog: give dataset.root={root}/outer"),
        (empty_class, "{root}/train: class horse has no training images: add some, or move the folder away"),
        (one_class, "train has one class only, cat: a classifier needs two"),
        (one_class_of_train, "train has one class only, cat: a classifier needs two"),
        (
            same_class_twice,
            "{root}/train holds two folders for the class café, which differ in how its accents are written "
            "('cafe\\u0301', 'caf\\xe9'): put their images into one",
        ),
        (
            other_case,
            "{root}/test: test has classes that train lacks: cat (train has Cat: rename one), "
            "dgo (train has dog: rename one)",
        ),
        (no_train, "{root} holds test but no train: move cat, dog into {root}/train"),
        (only_test, "{root} holds test but no train: add {root}/train/CLASS/ with images"),
        (flat_test, "{root}/test holds 10 images but no class folders: put them into CLASS/, or move it away"),
        (flat, "{root} holds 3 images but no class folders: put them into CLASS/, or move it away"),
        (
            single_images,
            "val can't be drawn from train, where no class has two images left: add images, or give the data set a "
            "val split of its own",
        ),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_what_is_wrong_is_one_line(tmp_path: Path, mess: Mess, line: str) -> None:
    mess(tmp_path)
    with pytest.raises(UserError) as refused:
        load_splits(configured(tmp_path))
    expected = line.format(root=tmp_path)
    assert expected in str(refused.value).splitlines()
    assert len(str(refused.value).splitlines()) == (2 if mess is zip_in_zip_of_both else 1)


def test_no_images_at_all(tmp_path: Path) -> None:
    no_images(tmp_path)
    with pytest.raises(UserError, match=r"train holds no images \(\.avif, \.bmp"):
        load_splits(configured(tmp_path))


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert scanned(tmp_path / "gone").problems == [f"cannot read folder {tmp_path}/gone (No such file or directory)"]


def test_all_problems_at_once(tmp_path: Path) -> None:
    two_vals(tmp_path)
    empty_class(tmp_path)
    fill(tmp_path, "test/owl")
    assert len(scanned(tmp_path).problems) == 3


def test_a_root_one_level_too_high_is_noticed(tmp_path: Path) -> None:
    fill(tmp_path, "2019/cat", "2019/dog", "2020/cat", "2020/dog")
    (note,) = scanned(tmp_path).notes
    assert note == (
        "every class (2019, 2020) holds its images in folders of its own (cat, dog): if those are the classes, "
        "dataset.root is one level too high"
    )
