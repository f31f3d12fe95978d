"""Loaders: the same images for any number of workers and processes."""

from pathlib import Path

import pytest
import torch

from hma_ft.config.schema import AugmentConfig, DatasetConfig
from hma_ft.data.batch import Batch
from hma_ft.data.datasets.base import Subset
from hma_ft.data.loading import eval_batches, load_views, view_seeds
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.transforms import EvalTransform, TrainTransform
from hma_ft.data.views import ViewSeeds, training_views
from hma_ft.errors import UserError
from tests.data.layouts import LAYOUTS
from tests.data.test_datasets import configured

AUGMENT = AugmentConfig(image_size=16, auto_augment="trivialaugment", random_erasing=0.5, affine_degrees=10.0)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits"))


def batches(splits: Splits, num_workers: int = 0, start: int = 0, rank: int = 0, world: int = 1) -> list[Batch]:
    transform = TrainTransform(AUGMENT, interpolation="bicubic", fill=(1, 2, 3))
    dealt = training_views(
        splits.train.labels,
        batch_size=24,
        seed=5,
        start_step=start,
        num_steps=50 - start,
        rank=rank,
        world_size=world,
    )
    return list(load_views(splits.train, transform, dealt, ViewSeeds(5), num_workers=num_workers))


def assert_equal(some: list[Batch], others: list[Batch]) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_workers_change_nothing(splits: Splits) -> None:
    torch.manual_seed(0)
    alone = batches(splits)
    torch.manual_seed(1)
    assert_equal(batches(splits, num_workers=1), alone)
    assert_equal(batches(splits, num_workers=2), alone)
    assert alone[45].images.dtype == torch.uint8
    # epoch 1 begins in step 44: a sample's view is another one there
    first = {int(i): image for batch in alone[:44] for i, image in zip(batch.ids, batch.images, strict=True)}
    again = [(int(i), image) for batch in alone[46:] for i, image in zip(batch.ids, batch.images, strict=True)]
    assert sum(torch.equal(first[i], image) for i, image in again if i in first) < 0.1 * len(again)


def test_it_starts_anywhere(splits: Splits) -> None:
    assert_equal(batches(splits, start=47), batches(splits)[47:])


def test_processes_share_a_batch_in_order(splits: Splits) -> None:
    whole = batches(splits)
    shares = [batches(splits, rank=rank, world=3) for rank in range(3)]
    joined = [Batch(*(torch.cat(column) for column in zip(*parts, strict=True))) for parts in zip(*shares, strict=True)]
    assert_equal(joined, whole)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_sees_every_sample_once(splits: Splits, world: int) -> None:
    transform = EvalTransform(16, crop_ratio=1.0, interpolation="bicubic")
    ids = [
        int(i)
        for rank in range(world)
        for batch in eval_batches(splits.val, transform, batch_size=32, num_workers=0, rank=rank, world_size=world)
        for i in batch.ids
    ]
    assert sorted(ids) == list(range(len(splits.val)))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_truncated_file_stops_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int
) -> None:
    LAYOUTS["dtd"](tmp_path, monkeypatch)
    broken = sorted(tmp_path.rglob("*.jpg"))[3]  # the first class's second training image
    broken.write_bytes(broken.read_bytes()[:-300])
    splits = load_splits(configured("dtd", tmp_path))
    with pytest.raises(UserError, match=str(broken)):
        batches(splits, num_workers=num_workers)


def test_finite_views_come_back_and_are_the_same_for_every_seed(splits: Splits) -> None:
    transform = TrainTransform(AUGMENT, interpolation="bicubic", fill=(1, 2, 3))

    def seen(seed: int, views: int | None) -> list[dict[int, torch.Tensor]]:
        """Image by sample for each of the first four epochs."""
        few = Subset(splits.train, torch.arange(40))
        dealt = training_views(few.labels, batch_size=len(few), seed=seed, start_step=0, num_steps=4)
        loaded = load_views(few, transform, dealt, view_seeds(few, seed, views), num_workers=0)
        return [dict(zip(batch.ids.tolist(), batch.images, strict=True)) for batch in loaded]

    def same(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> float:
        return sum(torch.equal(image, other[sample]) for sample, image in one.items()) / len(one)

    first, other = seen(0, 3), seen(1, 3)
    assert list(first[0]) != list(other[0])
    assert [same(a, b) for a, b in zip(first, other, strict=True)] == [1.0] * 4
    assert same(first[0], first[3]) == 1.0
    assert max(same(first[0], first[1]), same(first[0], first[2]), same(first[1], first[2])) < 0.1
    endless = seen(0, None)
    assert same(endless[0], endless[3]) < 0.1
