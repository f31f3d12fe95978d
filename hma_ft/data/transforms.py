"""Images to square inputs of the model, uint8 from end to end (torchvision v2)."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_modes_mapping
from torchvision.transforms.v2 import functional

from hma_ft.config.schema import AugmentConfig, Resize
from hma_ft.data.squares import canvas, fitted, padded, padded_window, squashed_box


class TrainTransform:
    """The training view of an image; all randomness from torch's global generator.

    `fill` (0..255, a channel) is what random erasing leaves, and what a map (`affine_*`, and those of the policies)
    brings in from outside the image.
    """

    def __init__(self, config: AugmentConfig, *, interpolation: str, fill: Sequence[int]) -> None:
        steps: list[Callable[[Tensor], Tensor]] = [_Crop(config, InterpolationMode(interpolation), fill)]
        if config.affine_degrees or config.affine_translate or config.affine_scale:
            steps.append(_Affine(config, fill))
        if config.flip:
            steps.append(_Flip(config.flip))
        if config.auto_augment == "randaugment":
            steps.append(v2.RandAugment(config.randaugment_ops, config.randaugment_magnitude, fill=list(fill)))
        elif config.auto_augment == "trivialaugment":
            steps.append(v2.TrivialAugmentWide(fill=list(fill)))
        if config.random_erasing:
            steps.append(v2.RandomErasing(config.random_erasing, value=list(fill)))
        self.steps = steps

    def __call__(self, image: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        for step in self.steps:
            image = step(image)
        return image


_MOST_RESIZED_PIXELS = 2**25  # 100 MB; only a strip a hundred times as long as wide comes near it
_RESIZED_AS_UINT8 = (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)  # by torch itself, without floats


class _Crop:
    """v2.RandomResizedCrop of one image: the same draws and the same pixels, in less time.

    It saves going through containers of inputs, and resizing a part that isn't contiguous in memory. The crop is one of
    the squashed or padded square, if the configuration asks for it, though cut out of the image as it is.
    """

    def __init__(self, config: AugmentConfig, interpolation: InterpolationMode, fill: Sequence[int]) -> None:
        self.resize, self.fill = config.resize, fill
        self.size = [config.image_size, config.image_size]
        self.interpolation = interpolation
        self.draw = v2.RandomResizedCrop(
            config.image_size,
            scale=(config.crop_scale[0], config.crop_scale[1]),
            ratio=(config.crop_ratio[0], config.crop_ratio[1]),
        )

    def __call__(self, image: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        side = max(image.shape[-2:])
        square = image[:1, :1, :1].expand(3, side, side)  # for its size alone
        box = self.draw.make_params([image if self.resize is Resize.crop else square])
        if self.resize is Resize.pad:
            return self._of_padded(image, box)
        return self._resized(image, box if self.resize is Resize.crop else squashed_box(box, image), self.size)

    def _of_padded(self, image: Tensor, box: dict[str, int]) -> Tensor:
        """The box of the padded square, of which only what shows the image is resized."""
        view, window = canvas(self.size[0], self.fill), padded_window(box, image, self.size[0])
        if window is not None:
            top, left, height, width = (window.crop[key] for key in ("top", "left", "height", "width"))
            view[:, top : top + height, left : left + width] = self._resized(image, window.image, [height, width])
        return view

    def _resized(self, image: Tensor, box: dict[str, int], size: list[int]) -> Tensor:
        top, left = box["top"], box["left"]
        part = image[:, top : top + box["height"], left : left + box["width"]].unsqueeze(0)
        part = part.contiguous(memory_format=torch.channels_last)
        if self.interpolation in _RESIZED_AS_UINT8:
            return interpolate(part, size, mode=self.interpolation.value, antialias=True).squeeze(0)
        return functional.resize(part, size, interpolation=self.interpolation, antialias=True).squeeze(0)


class _Affine:
    """v2.RandomAffine of one image, bilinear, with the mean colour outside.

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

    def __call__(self, image: Tensor) -> Tensor:
        """uint8 [3, S, S], mapped."""
        return (self.map(image - self.fill) + self.fill).round().to(torch.uint8)


class _Flip:
    """v2.RandomHorizontalFlip of one image."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, image: Tensor) -> Tensor:
        """uint8 [3, S, S], mirrored by chance."""
        return image if torch.rand(1) >= self.probability else image.flip(-1)


class EvalTransform:
    """Resize and centre crop, to the pixel sizes of timm's own (which rounds the resized side down).

    With `resize=squash` both sides are resized, with `pad` the long one, and the short one is padded by `fill` (0..255,
    a channel); what is cropped of that square is its centre.

    Attributes:
        image_size: pixels a side, after the crop.
        resized_side: pixels of the short side before it, or of a side of the square.
        interpolation: the filter's name.
        upright: whether images must be turned as their EXIF orientation says when they are decoded.
    """

    def __init__(
        self,
        image_size: int,
        *,
        crop_ratio: float,
        interpolation: str,
        upright: bool = False,
        resize: Resize = Resize.crop,
        fill: Sequence[int] = (0, 0, 0),
    ) -> None:
        self.resize, self.fill = resize, fill
        self.image_size = image_size
        self.resized_side = math.floor(image_size / crop_ratio)
        self.interpolation = interpolation
        self.upright = upright
        self.steps = v2.Compose(
            [
                v2.Resize(self.resized_side, interpolation=InterpolationMode(interpolation), antialias=True),
                v2.CenterCrop(image_size),
            ]
        )

    def __call__(self, image: Tensor) -> Tensor:
        """uint8 [3, H, W] -> uint8 [3, S, S]."""
        if self.resize is not Resize.crop:
            return self._of_square(image)
        short, long = sorted(image.shape[-2:])
        if self.resized_side**2 * long / short > _MOST_RESIZED_PIXELS:
            return self._resized_window(image)
        return self.steps(image)

    def _of_square(self, image: Tensor) -> Tensor:
        """The centre of the whole image, squashed or padded to a square."""
        side, filter_ = self.resized_side, InterpolationMode(self.interpolation)
        size = [side, side] if self.resize is Resize.squash else fitted(image, side)
        square = padded(functional.resize(image, size, interpolation=filter_, antialias=True), self.fill)
        return functional.center_crop(square, [self.image_size, self.image_size])

    def _resized_window(self, image: Tensor) -> Tensor:
        """The centre crop of a narrow strip, whose resized pixels outside of it are never made.

        pillow resizes a part of an image by the same filter, and to the same grey levels up to two, as torch the whole.
        """
        height, width = image.shape[-2:]
        rows, columns = (self._window(side, min(height, width)) for side in (height, width))
        part = functional.to_pil_image(image[:, rows.first : rows.last, columns.first : columns.last])
        size, filter_ = self.image_size, pil_modes_mapping[InterpolationMode(self.interpolation)]
        part = part.resize((size, part.height), filter_, box=(columns.start, 0, columns.end, part.height))
        return functional.pil_to_tensor(part.resize((size, size), filter_, box=(0, rows.start, size, rows.end)))

    def _window(self, side: int, short: int) -> "_Window":
        """What the centre crop needs of a side of an image, `short` being its shorter one."""
        resized = int(self.resized_side * side / short)
        step = side / resized
        start = round((resized - self.image_size) / 2) * step
        end = start + self.image_size * step
        reach = 4 * max(1.0, step)  # of the widest filter, and one more
        first, last = max(0, math.floor(start - reach)), min(side, math.ceil(end + reach))
        return _Window(first, last, start - first, end - first)


class _Window(NamedTuple):
    """A part of a side in pixels of the file."""

    first: int  # of what is read
    last: int  # behind it
    start: float  # of what is resized, from `first` on
    end: float
