"""What a training step is fed with: micro-batches on the device, mixed, with targets."""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import NamedTuple

import torch
from torch import Tensor

from hma_ft.config.schema import AugmentConfig
from hma_ft.data.batch import Batch
from hma_ft.data.mixing import mix
from hma_ft.engine.device_copy import DeviceCopy

MADE_OF_VIEWS = ("mixup_alpha", "cutmix_alpha", "label_smoothing")  # settings of AugmentConfig: a view is none of them


class MicroBatch(NamedTuple):
    """One micro-batch."""

    inputs: Tensor  # uint8 images [B, 3, S, S], or their stored features [B, D]
    targets: Tensor  # class ids [B] or probabilities [B, C]
    ids: Tensor  # sample ids [B], or [B, 2] with the partner of each mixed image


def mixes_images(config: AugmentConfig) -> bool:
    """Whether neighbouring images of a step are mixed."""
    return config.mixup_alpha > 0 or config.cutmix_alpha > 0


def has_finite_views(config: AugmentConfig) -> bool:
    """Whether a training input is one of a finite number of views of one image, so that its features can be kept."""
    return config.views is not None and not mixes_images(config)


def uses_soft_labels(config: AugmentConfig) -> bool:
    """Whether the targets of training are probabilities."""
    return mixes_images(config) or config.label_smoothing > 0


def image_steps(
    batches: Iterable[Batch],
    *,
    start_step: int,
    micro_batches: int,
    num_classes: int,
    seed: int,
    augment: AugmentConfig,
    device: torch.device,
) -> Iterator[tuple[MicroBatch, ...]]:
    """Group batches, of images or of features that are not mixed, into steps on the device, mixed as `augment` says."""
    stream, to_device = iter(batches), DeviceCopy(device)
    for step in count(start_step):
        step_batches = list(islice(stream, micro_batches))
        if not step_batches:
            return
        micro = []
        for batch in step_batches:
            batch = to_device(batch)
            images, targets, partners = mix(
                batch.images,
                batch.labels,
                num_classes,
                ids=batch.ids,
                mixup_alpha=augment.mixup_alpha,
                cutmix_alpha=augment.cutmix_alpha,
                label_smoothing=augment.label_smoothing,
                seed=seed,
                step=step,
            )
            ids = batch.ids if partners is None else torch.stack([batch.ids, partners], dim=1)
            micro.append(MicroBatch(images, targets, ids))
        yield tuple(micro)
