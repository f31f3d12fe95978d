"""Decoded images are kept, shared and bounded, and change no number."""

import dataclasses
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hma_ft.config.schema import AugmentConfig, DatasetConfig, ImageCaching
from hma_ft.data import image_cache
from hma_ft.data.batch import Batch
from hma_ft.data.decode import decode
from hma_ft.data.image_cache import CachedDataset
from hma_ft.data.loading import load_views
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.transforms import TrainTransform
from hma_ft.data.views import ViewSeeds, training_views
from hma_ft.errors import UserError

CACHES = [ImageCaching.ram, ImageCaching.disk]
SAMPLES = 8


@pytest.fixture
def config(tmp_path: Path) -> DatasetConfig:
    """An image folder of JPEGs and PNGs of different sizes."""
    for split in ("train", "val", "test"):
        for number in range(SAMPLES):
            folder = tmp_path / "data" / split / ("one" if number % 2 else "two")
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.{'jpg' if number < 5 else 'png'}")
    return DatasetConfig(
        name="folder",
        target="hma_ft.data.datasets.folder.Folder",
        root=str(tmp_path / "data"),
        cache_dir=str(tmp_path / "cache"),
    )


def splits_with(config: DatasetConfig, cache: ImageCaching, **changes: float) -> Splits:
    return load_splits(dataclasses.replace(config, cache=cache, **changes))


def views(splits: Splits, num_workers: int) -> list[Batch]:
    """Three epochs."""
    transform = TrainTransform(AugmentConfig(image_size=32), interpolation="bicubic", fill=(0, 0, 0))
    steps = 3 * SAMPLES // 4
    dealt = training_views(splits.train.labels, batch_size=4, seed=0, start_step=0, num_steps=steps)
    return list(load_views(splits.train, transform, dealt, ViewSeeds(0), num_workers=num_workers))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("cache", CACHES)
def test_views_are_bit_identical_with_and_without(config: DatasetConfig, cache: ImageCaching, num_workers: int) -> None:
    expected = views(splits_with(config, ImageCaching.none), 0)
    assert len(expected) == 3 * SAMPLES // 4
    for own, other in zip(views(splits_with(config, cache), num_workers), expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    decoded: list[Path] = []

    def counted(path: Path, *, upright: bool) -> Tensor:
        decoded.append(path)
        return decode(path, upright=upright)

    monkeypatch.setattr("hma_ft.data.datasets.base.decode", counted)
    return decoded


@pytest.mark.parametrize("cache", CACHES)
def test_a_image_is_decoded_once(config: DatasetConfig, cache: ImageCaching, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decodes(monkeypatch)
    views(splits_with(config, cache), 0)
    assert len(decoded) == len(set(decoded)) == SAMPLES
    views(splits_with(config, cache), 0)  # another run
    assert len(decoded) == (SAMPLES if cache is ImageCaching.disk else 2 * SAMPLES)


@pytest.mark.parametrize("cache", CACHES)
def test_the_bound_holds_and_the_rest_is_decoded(
    config: DatasetConfig, cache: ImageCaching, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = count_decodes(monkeypatch)
    limit = 3 * 3 * 47 * 50  # three images
    splits = splits_with(config, cache, cache_gb=limit / 1e9)
    for _ in range(2):
        images = [splits.train.load(index) for index in range(SAMPLES)]
    kept = SAMPLES - (len(decoded) - SAMPLES)
    assert 3 <= kept < SAMPLES
    assert isinstance(splits.train, CachedDataset)
    assert os.stat(splits.train.cache._paths[1]).st_size <= limit
    assert all(torch.equal(image, splits.train.samples.load(index)) for index, image in enumerate(images))


def test_damage_and_changed_files_are_noticed(config: DatasetConfig, tmp_path: Path) -> None:
    splits = splits_with(config, ImageCaching.disk)
    expected = [splits.train.load(index).clone() for index in range(SAMPLES)]
    (pixels,) = tmp_path.glob("cache/*/pixels")
    content = bytearray(pixels.read_bytes())
    content[10] ^= 1
    pixels.write_bytes(content[:-20])  # one image flipped, the last one cut off
    again = splits_with(config, ImageCaching.disk)
    for _ in range(2):
        assert all(torch.equal(again.train.load(index), expected[index]) for index in range(SAMPLES))

    assert isinstance(again.train, CachedDataset)
    Image.new("RGB", (50, 40), "red").save(again.train.samples.paths[0])
    changed = splits_with(config, ImageCaching.disk)
    assert torch.equal(changed.train.load(0), decode(again.train.samples.paths[0]))
    assert not torch.equal(changed.train.load(0), expected[0])


@pytest.mark.parametrize("new_inode", [True, False])
def test_files_replaced_with_their_size_and_time_are_noticed(config: DatasetConfig, new_inode: bool) -> None:
    splits = splits_with(config, ImageCaching.disk)
    assert isinstance(splits.train, CachedDataset)
    expected = [splits.train.load(index).clone() for index in range(SAMPLES)]
    path, donor = splits.train.samples.paths[:2]
    before = path.stat()
    content = donor.read_bytes()
    size = max(len(content), before.st_size)
    for file, held in ((path, path.read_bytes()), (donor, content)):
        file.write_bytes(held + bytes(size - len(held)))
    splits_with(config, ImageCaching.disk).train.load(0)
    before = path.stat()
    replacement = path.with_name("replacement")
    replacement.write_bytes(donor.read_bytes())
    if new_inode:
        replacement.replace(path)
    else:
        path.write_bytes(replacement.read_bytes())
        replacement.unlink()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    changed = splits_with(config, ImageCaching.disk).train
    assert torch.equal(changed.load(0), decode(donor))
    assert not torch.equal(changed.load(0), expected[0])


def test_processes_that_write_at_once_don_t_disturb_each_other(config: DatasetConfig, repository: Path) -> None:
    program = (
        "import sys, torch\n"
        "from hma_ft.config.schema import DatasetConfig, ImageCaching\n"
        "from hma_ft.data.splits import load_splits\n"
        f"config = DatasetConfig(name='folder', target={config.target!r}, root={config.root!r},\n"
        f"    cache=ImageCaching.disk, cache_dir={config.cache_dir!r})\n"
        "train = load_splits(config).train\n"
        "for index in list(range(len(train))) * 3:\n"
        "    assert torch.equal(train.load(index), train.samples.load(index)), index\n"
    )
    command = [sys.executable, "-c", program]
    running = [subprocess.Popen(command, cwd=repository, env=os.environ | {"OMP_NUM_THREADS": "1"}) for _ in range(3)]
    assert [process.wait(120) for process in running] == [0, 0, 0]


def test_a_process_that_starts_once_another_run_has_made_room_decodes(config: DatasetConfig, tmp_path: Path) -> None:
    train = splits_with(config, ImageCaching.disk).train
    expected = train.load(0).clone()
    in_a_new_process = pickle.loads(pickle.dumps(train))
    for folder in (tmp_path / "cache").iterdir():
        shutil.rmtree(folder)
    assert torch.equal(in_a_new_process.load(0), expected)
    assert torch.equal(train.load(0), expected)  # its files are open


def test_a_disk_that_refuses_is_warned_about(config: DatasetConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    splits = splits_with(config, ImageCaching.disk)
    monkeypatch.setattr(image_cache.os, "pwrite", refuse)
    with pytest.warns(UserWarning, match="No space left"):
        image = splits.train.load(0)
    assert isinstance(splits.train, CachedDataset)
    assert torch.equal(image, splits.train.samples.load(0))


def test_a_cache_folder_that_cannot_be_made_is_one_line(config: DatasetConfig, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"dataset\.cache_dir=.*dataset\.cache=none"):
        splits_with(config, ImageCaching.disk)
