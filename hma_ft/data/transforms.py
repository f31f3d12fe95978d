"""Pictures to square inputs of the model, uint8 from end to end (torchvision v2)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from hma_ft.config.schema import AugmentConfig


class TrainTransform:
    """The training view of a picture; all randomness from torch's global generator.

    `fill` (0..255, a channel) is what random erasing leaves, and what a map (`affine_*`, and those of the policies)
    brings in from outside the picture.
    """

    def __init__(self, config: AugmentConfig, *, interpolation: str, fill: Sequence[int]) -> None:
        steps: list[Callable[[Tensor], Tensor]] = [_Crop(config, InterpolationMode(interpolation))]
        if config.affine_degrees or config.affine_translate or config.affine_scale:
            steps.append(_Affine(config, fill))
        if config.flip:
            steps.append(_Flip(config.flip))
        if config.policy == "randaugment":
            steps.append(v2.RandAugment(config.randaugment_ops, config.randaugment_magnitude, fill=list(fill)))
        elif config.policy == "trivialaugment":
            steps.append(v2.TrivialAugmentWide(fill=list(fill)))
        if config.random_erasing:
            steps.append(v2.RandomErasing(config.random_erasing, value=list(fill)))
        self.steps = steps

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        for step in self.steps:
            picture = step(picture)
        return picture


_RESIZED_AS_UINT8 = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)  # by torch itself, without floats


class _Crop:
    """v2.RandomResizedCrop of one picture: the same draws and the same pixels, in less time.

    It saves going through containers of inputs, and resizing a part that isn't contiguous in memory.
    """

    def __init__(self, config: AugmentConfig, interpolation: InterpolationMode) -> None:
        self.size = [config.image_size, config.image_size]
        self.interpolation = interpolation
        self.draw = v2.RandomResizedCrop(
            config.image_size,
            scale=(config.crop_scale[0], config.crop_scale[1]),
            ratio=(config.crop_ratio[0], config.crop_ratio[1]),
        )

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        box = self.draw.make_params([picture])
        top, left = box["top"], box["left"]
        part = picture[:, top : top + box["height"], left : left + box["width"]].unsqueeze(0)
        part = part.contiguous(memory_format=torch.channels_last)
        if self.interpolation in _RESIZED_AS_UINT8:
            return interpolate(part, self.size, mode=self.interpolation.value, antialias=True).squeeze(0)
        return functional.resize(part, self.size, interpolation=self.interpolation, antialias=True).squeeze(0)


class _Affine:
    """v2.RandomAffine of one picture, bilinear, with the mean colour outside.

    Less the fill, what lies outside is zero, as grid sampling pads. torchvision's own `fill` weighs the border twice,
    which leaves a seam up to a quarter darker than either side.
    """

    def __init__(self, config: AugmentConfig, fill: Sequence[int]) -> None:
        self.fill = torch.tensor(fill, dtype=torch.float32).view(3, 1, 1)
        self.map = v2.RandomAffine(
            config.affine_degrees,
            translate=(config.affine_translate, config.affine_translate),
            scale=(1 - config.affine_scale, 1 + config.affine_scale),
            interpolation=InterpolationMode.BILINEAR,
        )

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 [3, S, S], mapped."""
        return (self.map(picture - self.fill) + self.fill).round().to(torch.uint8)


class _Flip:
    """v2.RandomHorizontalFlip of one picture."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 [3, S, S], mirrored by chance."""
        return picture if torch.rand(1) >= self.probability else picture.flip(-1)


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
