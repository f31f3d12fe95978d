"""The steps that a run trains on: batches of images, or of the features of a frozen backbone."""

from collections.abc import Iterator, Sequence

from accelerate import Accelerator

from hma_ft.build import RunComponents
from hma_ft.config.schema import Config, Sampling
from hma_ft.data.batch import Batch
from hma_ft.data.loading import load_views, view_seeds
from hma_ft.data.transforms import TrainTransform
from hma_ft.data.views import View, ViewSeeds, training_views
from hma_ft.engine.costs import CostClock
from hma_ft.engine.feature_steps import feature_steps
from hma_ft.engine.inputs import MicroBatch, has_finite_views, image_steps
from hma_ft.engine.view_features import ViewFeatures

Steps = Iterator[Sequence[MicroBatch]]


def training_steps(
    config: Config, accelerator: Accelerator, components: RunComponents, clock: CostClock, *, start_step: int
) -> Steps:
    """The micro-batches of each step from `start_step` on; `clock` counts what computing features takes."""
    if not components.method.has_frozen_features:
        return _image_steps(config, accelerator, components, start_step)
    if has_finite_views(config.augment):
        return _finite_view_steps(config, accelerator, components, clock, start_step)
    return feature_steps(
        components.view_store,
        lambda step: _image_steps(config, accelerator, components, step),
        components.method,
        accelerator,
        clock,
        start_step=start_step,
        max_steps=config.trainer.max_steps,
    )


def _image_steps(config: Config, accelerator: Accelerator, components: RunComponents, start_step: int) -> Steps:
    """Steps on images."""
    views = _views(config, accelerator, components, range(start_step, config.trainer.max_steps))
    batches = _loaded(config, components, views, _seeds(config, components))
    return _steps_of(batches, config, accelerator, components, start_step)


def _finite_view_steps(
    config: Config, accelerator: Accelerator, components: RunComponents, clock: CostClock, start_step: int
) -> Steps:
    """Steps on features, each of which is computed once for all runs."""
    seeds = _seeds(config, components)
    features = ViewFeatures(
        components.view_store,
        lambda views: _loaded(config, components, views, seeds),
        seeds,
        components.splits.train.labels,
        components.method,
        accelerator,
        clock,
    )
    before, views = (
        _views(config, accelerator, components, steps)
        for steps in (range(start_step), range(start_step, config.trainer.max_steps))
    )
    return _steps_of(features.batches(views, before=before), config, accelerator, components, start_step)


def _views(config: Config, accelerator: Accelerator, components: RunComponents, steps: range) -> Iterator[list[View]]:
    """The views of this process's micro-batches of some steps."""
    return training_views(
        components.splits.train.labels,
        seen_in_training=components.splits.seen_in_training,
        balanced=config.trainer.sampling is Sampling.balanced,
        batch_size=config.trainer.batch_size,
        seed=config.seed,
        start_step=steps.start,
        num_steps=len(steps),
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        micro_batches=config.trainer.grad_accumulation,
    )


def _seeds(config: Config, components: RunComponents) -> ViewSeeds:
    return view_seeds(components.splits.train, config.seed, config.augment.views)


def _loaded(
    config: Config, components: RunComponents, views: Iterator[list[View]], seeds: ViewSeeds
) -> Iterator[Batch]:
    backbone, samples = components.method.backbone, components.splits.train
    transform = TrainTransform(config.augment, interpolation=backbone.interpolation, fill=backbone.mean_colour)
    return load_views(samples, transform, views, seeds, num_workers=config.trainer.num_workers)


def _steps_of(
    batches: Iterator[Batch],
    config: Config,
    accelerator: Accelerator,
    components: RunComponents,
    start_step: int,
) -> Steps:
    return image_steps(
        batches,
        start_step=start_step,
        micro_batches=config.trainer.grad_accumulation,
        num_classes=len(components.splits.class_names),
        seed=config.seed,
        augment=config.augment,
        device=accelerator.device,
    )
