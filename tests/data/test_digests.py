"""Two samples have equal digests if and only if `load` returns equal pixels for them."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hma_ft.config.schema import Corruption, DatasetConfig, ImageCaching
from hma_ft.data.datasets.base import ArrayDataset, FileDataset, ImageDataset, Subset
from hma_ft.data.description import changed_splits
from hma_ft.data.digests import derived_digest, pixel_digest
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.variants import Corrupted, Relabelled
from hma_ft.errors import UserError
from tests.data.layouts import LAYOUTS
from tests.data.test_datasets import configured

DIGITS = DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits")


def assert_equal_digests_are_equal_pixels(*parts: ImageDataset) -> None:
    pixels = [samples.load(index) for samples in parts for index in range(len(samples))]
    digests = [digest for samples in parts for digest in samples.content_digests()]
    assert len(digests) == len(pixels)
    for (a, one), (b, other) in itertools.combinations(zip(digests, pixels, strict=True), 2):
        assert (a == b) == (one.dtype == other.dtype and torch.equal(one, other))


def test_arrays_and_what_is_made_of_them() -> None:
    images = torch.randint(0, 256, (5, 3, 6, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    labels = torch.zeros(5, dtype=torch.int64)
    plain = ArrayDataset(images, labels, ["one"])
    parts = [
        plain,
        ArrayDataset(images.contiguous(memory_format=torch.channels_last), labels, ["one"]),
        ArrayDataset(images.reshape(5, 3, 8, 6), labels, ["one"]),
        ArrayDataset(images.view(torch.int8), labels, ["one"]),
        Subset(plain, torch.tensor([3, 1, 3])),
        Relabelled(plain, labels + 1),
        Corrupted(plain, Corruption.noise, 1),
        Corrupted(plain, Corruption.noise, 2),
        Corrupted(Subset(plain, torch.tensor([1, 0])), Corruption.noise, 1),  # other noise: it goes by the number
    ]
    assert_equal_digests_are_equal_pixels(*parts)
    for made in parts[5:8]:
        assert made.raw_digests() == plain.raw_digests()


def test_files_turned_upright_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["folder"](tmp_path, monkeypatch)
    paths = sorted((tmp_path / "train").rglob("*.png"))
    plain, upright = (FileDataset(paths, [0] * 10, ["one"], tmp_path, upright=turned) for turned in (False, True))
    assert_equal_digests_are_equal_pixels(plain)
    assert not set(plain.content_digests()) & set(upright.content_digests())
    assert plain.raw_digests() == upright.raw_digests()


def test_a_file_that_changes_after_its_digest_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["folder"](tmp_path, monkeypatch)
    test = load_splits(configured("folder", tmp_path)).test
    path = tmp_path / "test" / "cat" / "1.png"
    image, content = test.load(1), path.read_bytes()
    test.content_digests()
    path.write_bytes(content)  # the same, at another time
    assert torch.equal(test.load(1), image)
    path.write_bytes((tmp_path / "test" / "cat" / "2.png").read_bytes())
    with pytest.raises(UserError, match=r"test/cat/1\.png has changed since this command began"):
        test.load(1)
    path.write_bytes(content)
    assert torch.equal(test.load(1), image)


@pytest.mark.parametrize("cache", ImageCaching)
def test_a_cache_changes_no_digest(cache: ImageCaching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["folder"](tmp_path, monkeypatch)
    config = dataclasses.replace(configured("folder", tmp_path), cache_dir=str(tmp_path / "cache"))
    plain, cached = (load_splits(dataclasses.replace(config, cache=c)) for c in (ImageCaching.none, cache))
    assert plain.description == cached.description


def test_a_description_is_made_once_and_says_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["dtd"](tmp_path, monkeypatch)

    def described() -> dict[str, int | str]:
        return load_splits(configured("dtd", tmp_path)).description

    splits: Splits = load_splits(configured("dtd", tmp_path))
    assert splits.description is splits.description
    before = described()
    assert changed_splits(before, described()) == []
    old = {name: value for name, value in before.items() if not name.endswith("_content")}
    (tmp_path / "dtd/dtd/images/banded/banded_0001.jpg").write_bytes(b"another image")
    now = described()
    assert changed_splits(before, now) == ["val"]
    assert changed_splits(old, now) == []  # of a record from before contents were known, names are compared
    labels = tmp_path / "dtd/dtd/labels/test1.txt"
    labels.write_text("\n".join(labels.read_text().splitlines()[1:]) + "\n")
    assert changed_splits(before, described()) == ["val", "test"]
    assert changed_splits(old, described()) == ["test"]
    assert changed_splits({}, now) == []


def test_wrong_labels_are_other_data() -> None:
    clean, noisy = (load_splits(dataclasses.replace(DIGITS, label_noise=share)) for share in (0.0, 0.5))
    assert clean.train.content_digests() == noisy.train.content_digests()
    assert changed_splits(clean.description, noisy.description) == ["train"]


def test_a_digest_names_its_change() -> None:
    image: Tensor = torch.zeros(3, 2, 2, dtype=torch.uint8)
    digests = {
        pixel_digest(image),
        derived_digest(pixel_digest(image)),
        derived_digest(pixel_digest(image), "noise", 1, 2),
        derived_digest(pixel_digest(image), "noise", 12),
        derived_digest(pixel_digest(image), "noise", "12"),
    }
    assert len(digests) == 5 and all(len(digest) == 32 for digest in digests)
