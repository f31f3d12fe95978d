"""Pictures to square inputs of the model, uint8 from end to end (torchvision v2)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from hma_ft.config.schema import AugmentConfig


class TrainTransform:
    """The training view of a picture; all randomness from torch's global generator.

    `fill` (0..255) is what random erasing leaves, and what an affine map brings in from outside.
    """

    def __init__(self, config: AugmentConfig, *, interpolation: str, fill: Sequence[int]) -> None:
        filter_ = InterpolationMode(interpolation)
        steps: list[torch.nn.Module] = [
            v2.RandomResizedCrop(
                config.image_size,
                scale=(config.crop_scale[0], config.crop_scale[1]),
                ratio=(config.crop_ratio[0], config.crop_ratio[1]),
                interpolation=filter_,
                antialias=True,
            )
        ]
        if config.affine_degrees or config.affine_translate or config.affine_scale:
            steps.append(
                v2.RandomAffine(
                    config.affine_degrees,
                    translate=(config.affine_translate, config.affine_translate),
                    scale=(1 - config.affine_scale, 1 + config.affine_scale),
                    interpolation=InterpolationMode.BILINEAR,
                )
            )
        if config.flip:
            steps.append(v2.RandomHorizontalFlip(config.flip))
        if config.policy == "randaugment":
            steps.append(v2.RandAugment(config.randaugment_ops, config.randaugment_magnitude))
        elif config.policy == "trivialaugment":
            steps.append(v2.TrivialAugmentWide())
        if config.random_erasing:
            steps.append(v2.RandomErasing(config.random_erasing, value=list(fill)))
        self.steps = v2.Compose(steps)

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        return self.steps(picture)


class EvalTransform:
    """Resize and centre crop, to the pixel sizes of timm's own (which rounds the resized side down).

    Attributes:
        image_size: pixels a side, after the crop.
        resized_side: pixels of the short side, before it.
        interpolation: the filter's name.
    """

    def __init__(self, image_size: int, *, crop_ratio: float, interpolation: str) -> None:
        self.image_size = image_size
        self.resized_side = math.floor(image_size / crop_ratio)
        self.interpolation = interpolation
        self.steps = v2.Compose(
            [
                v2.Resize(self.resized_side, interpolation=InterpolationMode(interpolation), antialias=True),
                v2.CenterCrop(image_size),
            ]
        )

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        return self.steps(picture)
