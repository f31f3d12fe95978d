"""Whether the loader keeps up with a training step on a GPU."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from analysis.benchmarks.gpu_setup import FULL, Setup, Sizes, random_batch, several
from analysis.benchmarks.measurement import Measurement, skipped
from hma_ft.config.schema import AugmentConfig, DatasetConfig, ImageCaching
from hma_ft.data.batch import Batch
from hma_ft.data.datasets.base import FileDataset
from hma_ft.data.image_cache import cached
from hma_ft.data.loading import load_views
from hma_ft.data.transforms import TrainTransform
from hma_ft.data.views import ViewSeeds, training_views


def keeps_up(sizes: Sizes, shared: Path | None, workers: int, *, compiled: bool) -> list[Measurement]:
    """Images a second with the loader beside those with a batch that stays on the device."""
    if shared is None:
        return [skipped("input beside the step")]
    paths = sorted((shared / "data/dtd/dtd/images").rglob("*.jpg"))
    files = FileDataset(paths, [0] * len(paths), ["all"], paths[0].parents[1])
    measurements = []
    for model in sizes.input_models:
        setup = Setup(model, "full", sizes, compiled=compiled)
        data = random_batch(sizes, setup.side, setup.device)
        resident = _images_per_second(partial(several, setup, data, 1), sizes)
        for name in (ImageCaching.none, ImageCaching.ram):
            samples = cached({"train": files}, DatasetConfig(cache=name))["train"]
            transform = TrainTransform(
                AugmentConfig(image_size=setup.side), interpolation=setup.method.backbone.interpolation, fill=(0, 0, 0)
            )
            epochs = 2 * (len(files) // sizes.batch)  # with a cache the first ones fill it
            total = epochs + 2 + sizes.repeats * sizes.steps
            views = training_views(samples.labels, batch_size=sizes.batch, seed=0, start_step=0, num_steps=total)
            stream = load_views(samples, transform, views, ViewSeeds(0), num_workers=workers)
            for _ in range(epochs if name is ImageCaching.ram and sizes is FULL else 0):
                next(stream)
            speed = _images_per_second(partial(_from_loader, setup, stream), sizes)
            measurements.append(
                Measurement(
                    f"{model}, full, from JPEGs, dataset.cache={name.value}, {workers} workers: {speed:.0f} images/s",
                    f"the same step on a batch on the device: {resident:.0f} images/s",
                    f"{speed / resident:.0%}",
                    "90% or more",
                    speed / resident >= 0.9,
                )
            )
    return measurements


def _from_loader(setup: Setup, stream: Iterator[Batch]) -> None:
    batch = next(stream).to(setup.device)
    setup.step(batch.images, batch.labels, batch.ids)


def _images_per_second(step: Callable[[], None], sizes: Sizes) -> float:
    """Over all steps, after two that don't count."""
    for _ in range(2):
        step()
    steps = sizes.repeats * sizes.steps
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return steps * sizes.batch / (time.perf_counter() - started)
