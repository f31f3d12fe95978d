"""Features of finite views: each view is computed once, by whoever comes first, and its digits depend on nobody."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hma_ft.config.schema import AugmentConfig, DatasetConfig
from hma_ft.data.batch import Batch
from hma_ft.data.datasets.base import ImageDataset, Subset
from hma_ft.data.loading import load_views, view_seeds
from hma_ft.data.splits import load_splits
from hma_ft.data.transforms import TrainTransform
from hma_ft.data.views import View, training_views
from hma_ft.engine import view_features
from hma_ft.engine.costs import CostClock
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.view_features import BLOCK, ViewFeatures
from hma_ft.methods.base import Method

VIEWS = 2
AUGMENT = AugmentConfig(image_size=16, flip=0.5, affine_degrees=10.0, views=VIEWS)


class Projection(nn.Module):
    """Features of a fixed matrix; knows which blocks it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = torch.randn(3 * 16 * 16, 24, generator=torch.Generator().manual_seed(0))
        self.blocks: list[int] = []

    def features(self, images: Tensor) -> Tensor:
        self.blocks.append(len(images))
        return images.flatten(1).float() @ self.matrix


@pytest.fixture(scope="module")
def samples() -> ImageDataset:
    digits = load_splits(DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits"))
    return Subset(digits.train, torch.arange(7, 157))


class Run:
    """The features of some steps, as a run reads them."""

    def __init__(
        self,
        samples: ImageDataset,
        store: FeatureStore | None,
        *,
        seed: int = 0,
        size: int = 30,
        start: int = 0,
        steps: int = 12,
    ) -> None:
        self.method, self.clock, self.samples = Projection(), CostClock(), samples
        self.seeds = view_seeds(samples, seed, VIEWS)
        features = ViewFeatures(
            *(store, self._load, self.seeds, samples.labels),
            *(cast(Method, self.method), Accelerator(cpu=True), self.clock),
        )
        dealt = {"batch_size": size, "seed": seed}
        before = training_views(samples.labels, **dealt, start_step=0, num_steps=start)
        views = list(training_views(samples.labels, **dealt, start_step=start, num_steps=steps))
        self.batches = list(features.batches(views, before=before))
        self.views = list(itertools.chain(*views))

    def _load(self, views: Iterator[list[View]]) -> Iterator[Batch]:
        transform = TrainTransform(AUGMENT, interpolation="bicubic", fill=(1, 2, 3))
        return load_views(self.samples, transform, views, self.seeds, num_workers=0)

    def by_view(self) -> dict[tuple[int, int], Tensor]:
        """Features by sample and number of its view."""
        rows = torch.cat([batch.images for batch in self.batches])
        return {(s, self.seeds.number(e)): row for (e, s), row in zip(self.views, rows, strict=True)}


def test_features_are_those_of_the_views_and_the_same_for_every_run(samples: ImageDataset, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {}, limit_bytes=10**9)
    first, other = Run(samples, store), Run(samples, None, seed=1, size=20, steps=18)
    assert first.method.blocks == other.method.blocks == [BLOCK] * len(first.method.blocks)
    found, expected = first.by_view(), other.by_view()
    assert len(found) > 2 * len(samples) - 10 and found.keys() & expected.keys()
    assert all(torch.equal(found[view], expected[view]) for view in found.keys() & expected.keys())
    (epoch, sample), row = first.views[7], first.batches[0].images[7]
    (image,) = next(iter(first._load(iter([[(epoch, sample)]])))).images
    assert torch.allclose(row, image.flatten().float() @ first.method.matrix, atol=1e-2)
    assert torch.equal(first.batches[3].labels, samples.labels[first.batches[3].ids])


def test_what_is_stored_is_not_computed_again(samples: ImageDataset, tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {}, limit_bytes=10**9)
    first = Run(samples, store)
    again = Run(samples, store, start=5, steps=7)  # the same run, cut off after 5 steps
    assert not again.method.blocks
    assert all(torch.equal(a.images, b.images) for a, b in zip(first.batches[5:], again.batches, strict=True))
    other = Run(samples, store, seed=1, size=31)
    computed = {view for view in other.by_view() if view not in first.by_view()}
    assert len(other.method.blocks) == -(-len(computed) // BLOCK) < len(first.method.blocks) // 4


def test_an_entry_ends_when_its_time_is_over(
    samples: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Run(samples, None)
    monkeypatch.setattr(view_features, "ENTRY_SECONDS", 0.0)
    store = FeatureStore(tmp_path, {}, limit_bytes=10**9)
    run = Run(samples, store)
    assert len(store.view_entries()) == len(run.method.blocks) > 3  # one block each
    assert all(torch.equal(a.images, b.images) for a, b in zip(run.batches, whole.batches, strict=True))


def test_each_view_costs_what_it_took_once(
    samples: ImageDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = itertools.count(step=1.0)
    monkeypatch.setattr(view_features.time, "perf_counter", lambda: next(moments))  # an entry of a block: two
    monkeypatch.setattr(view_features, "ENTRY", 30)
    store = FeatureStore(tmp_path, {}, limit_bytes=10**9)
    steps = 3 * len(samples) // 30  # each view at least once, most twice
    whole = Run(samples, store, steps=steps)
    entries = len(store.view_entries())
    assert whole.clock.costs.features == pytest.approx(2 * entries)
    begun, continued = Run(samples, store, steps=4), Run(samples, store, start=4, steps=steps - 4)
    assert begun.clock.costs.features == pytest.approx(2 * 4)
    assert continued.clock.costs.features == pytest.approx(2 * (entries - 4))
