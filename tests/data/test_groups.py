"""Groups of images that stay together, and folds, on folders of files and on labels alone."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hma_ft.data.folds import Fold, draw_fold
from hma_ft.data.group_draws import draw_groups
from hma_ft.data.splits import Splits, load_splits
from hma_ft.errors import UserError
from tests.config.test_compose import composed
from tests.data.layouts import image


def dealt(*overrides: str) -> Splits:
    """The splits of a data set as a command line configures it."""
    return load_splits(composed(*overrides).dataset)


def names(splits: Splits, split: str) -> set[str]:
    samples = splits.by_name[split]
    return {samples.sample_id(index) for index in range(len(samples))}


def clinic(root: Path, patients: int = 12, images: int = 3) -> None:
    """Patients of two classes in turn, each with several images, one folder a class."""
    for patient in range(patients):
        for number in range(images):
            image(root / ("ill", "well")[patient % 2] / f"p{patient:02d}_{number}.png", 10 * patient + number, (4, 4))


PATTERN = r'dataset.options.group="(p\d+)_"'


@pytest.fixture
def root(tmp_path: Path) -> str:
    clinic(tmp_path)
    return f"dataset.root={tmp_path}"


def test_drawn_splits_hold_whole_patients_of_both_classes(root: str) -> None:
    splits = dealt("dataset=folder", root, PATTERN)
    patients = {split: {Path(name).name[:3] for name in names(splits, split)} for split in splits.by_name}
    assert Counter(patient for found in patients.values() for patient in found).most_common(1)[0][1] == 1
    assert {split: samples.labels.bincount().tolist() for split, samples in splits.by_name.items()} == {
        "train": [12, 12],
        "val": [3, 3],
        "test": [3, 3],
    }
    assert "by whole groups (12)" in splits.notes[0]
    assert names(dealt("dataset=folder", root, PATTERN, "dataset.split_seed=1"), "test") != names(splits, "test")


@pytest.mark.parametrize("group", [[], [PATTERN]], ids=["images", "patients"])
def test_folds_are_a_partition_in_equal_shares(root: str, group: list[str]) -> None:
    folds = [dealt("dataset=folder", root, f"dataset.options.fold={i}/3", *group) for i in (1, 2, 3)]
    tests = [names(fold, "test") for fold in folds]
    assert sorted(name for found in tests for name in found) == sorted(set().union(*tests))
    assert len(set().union(*tests)) == 36
    for fold in folds:
        assert fold.test.labels.bincount().tolist() == [6, 6]
        assert not names(fold, "test") & (names(fold, "train") | names(fold, "val"))
    if group:
        assert all(len({Path(name).name[:3] for name in found}) == 4 for found in tests)
    for fold in folds:
        patients = [Path(fold.test.sample_id(index)).name[:3] for index in range(len(fold.test))]
        assert fold.test_groups == (patients if group else None)


def test_a_patient_in_two_folders_is_one_line(tmp_path: Path) -> None:
    clinic(tmp_path / "train")
    clinic(tmp_path / "test", patients=2)
    with pytest.raises(UserError) as raised:
        dealt("dataset=folder", f"dataset.root={tmp_path}", PATTERN)
    assert str(raised.value) == (
        "2 groups in both train and test: p00, p01 (such as train/ill/p00_0.png and test/ill/p00_0.png): "
        "a group belongs to one split"
    )


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"group": r"p\d"}, "has no parenthesis"),
        ({"group": r"(x\d)"}, "finds no group in ill/p00_0.png"),
        (
            {"group": r"(p\d+)_", "fold": "1/7"},
            "in whole groups: 7 are needed, and 4 can be moved",
        ),
        ({"fold": "13/13"}, "too few images for 13 folds"),
        ({"nope": 1}, "unknown option dataset.options.nope: there are group, fold"),
    ],
    ids=str,
)
def test_what_cannot_be_is_one_line(tmp_path: Path, options: dict[str, str], problem: str) -> None:
    clinic(tmp_path, patients=4)
    config = composed("dataset=folder", f"dataset.root={tmp_path}").dataset
    config.options |= options
    with pytest.raises(UserError) as raised:
        load_splits(config)
    assert problem in str(raised.value) and "\n" not in str(raised.value)


def test_a_fold_needs_images_without_a_test_split(tmp_path: Path) -> None:
    clinic(tmp_path / "train")
    clinic(tmp_path / "test", patients=2)
    with pytest.raises(UserError, match="is for images without a test split"):
        dealt("dataset=folder", f"dataset.root={tmp_path}", "dataset.options.fold=1/3")


def sites() -> tuple[Tensor, Tensor]:
    """Labels and groups: 40 sites of 1 to 30 images, each with its own mix of five unequal classes."""
    generator = torch.Generator().manual_seed(3)
    sizes = torch.randint(1, 31, (40,), generator=generator)
    groups = torch.arange(40).repeat_interleave(sizes)
    frequencies = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05])
    return torch.multinomial(frequencies, len(groups), replacement=True, generator=generator), groups


@pytest.mark.parametrize("seed", range(3))
def test_shares_of_unequal_groups_are_near_what_was_asked_for(seed: int) -> None:
    labels, groups = sites()
    train, test = draw_groups(labels, groups, 0.2, seed, what="test")
    assert not set(groups[train].tolist()) & set(groups[test].tolist())
    shares = labels[test].bincount(minlength=5) / labels.bincount()
    assert ((shares - 0.2).abs() < 0.06).all(), shares
    counts = [len(draw_fold(labels, Fold(i, 5), seed, groups)[1]) / len(labels) for i in range(1, 6)]
    assert all(abs(share - 0.2) < 0.03 for share in counts) and sum(counts) == pytest.approx(1)


def test_seeds_give_other_groups() -> None:
    labels, groups = sites()
    tests = {tuple(draw_groups(labels, groups, 0.2, seed, what="test")[1].tolist()) for seed in range(4)}
    assert len(tests) == 4


def test_numbers_of_groups_may_have_gaps() -> None:
    """Those of the groups that an earlier draw took away."""
    labels, groups = torch.arange(8) % 2, torch.tensor([1, 1, 5, 5, 7, 7, 9, 9])
    assert len(draw_groups(labels, groups, 0.25, 0, what="val")[1]) == 2


def test_the_only_image_or_group_of_a_class_stays_in_train() -> None:
    labels = torch.tensor([0] * 6 + [1] * 6 + [2])
    groups = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6])
    for group in (None, groups):
        seen = torch.cat([draw_fold(labels, Fold(i, 3), 0, group)[1] for i in (1, 2, 3)])
        assert sorted(seen.tolist()) == list(range(12))
