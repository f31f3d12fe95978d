"""Images as squares, squashed or padded."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


def fitted(image: Tensor, side: int) -> list[int]:
    """Height and width of an image [3, H, W] whose long side becomes `side`."""
    height, width = image.shape[-2:]
    return [max(1, round(side * length / max(height, width))) for length in (height, width)]


def padded(image: Tensor, fill: Sequence[int]) -> Tensor:
    """An image uint8 [3, H, W] in the middle of a square of the colour `fill`. A square one stays as it is."""
    height, width = image.shape[-2:]
    if height == width:
        return image
    square = canvas(max(height, width), fill)
    top, left = _offsets(image)
    square[:, top : top + height, left : left + width] = image
    return square


def canvas(side: int, fill: Sequence[int]) -> Tensor:
    """uint8 [3, side, side] of one colour, the channels of a pixel side by side."""
    return torch.tensor(fill, dtype=torch.uint8).expand(side, side, 3).contiguous().permute(2, 0, 1)


class Window(NamedTuple):
    """What of an image is in a crop of its padded square, and where of the resized crop that goes."""

    image: dict[str, int]
    crop: dict[str, int]


def padded_window(box: Mapping[str, int], image: Tensor, size: int) -> Window | None:
    """The window of a box of the padded square, which will be resized to `size`; None where there is only padding."""
    height, width = image.shape[-2:]
    above, beside = _offsets(image)
    rows = _shown(box["top"] - above, box["height"], height, size)
    columns = _shown(box["left"] - beside, box["width"], width, size)
    if rows is None or columns is None:
        return None
    (top, tall, y, rows_out), (left, wide, x, columns_out) = rows, columns
    return Window(
        {"top": top, "left": left, "height": tall, "width": wide},
        {"top": y, "left": x, "height": rows_out, "width": columns_out},
    )


def _offsets(image: Tensor) -> tuple[int, int]:
    """Rows above and columns left of an image in the middle of its square."""
    height, width = image.shape[-2:]
    side = max(height, width)
    return (side - height) // 2, (side - width) // 2


def _shown(start: int, length: int, limit: int, size: int) -> tuple[int, int, int, int] | None:
    """First pixel and number of them within the image; the same within a crop of `size` pixels."""
    first, end = max(start, 0), min(start + length, limit)
    if first >= end:
        return None
    place = min(round((first - start) * size / length), size - 1)
    return first, end - first, place, max(1, round((end - start) * size / length) - place)


def squashed_box(box: Mapping[str, int], image: Tensor) -> dict[str, int]:
    """The part of an image [3, H, W] that a box of its squashed square shows, whose side is the image's longer one."""
    height, width = image.shape[-2:]
    side = max(height, width)
    top, rows = _span(box["top"], box["height"], height / side, height)
    left, columns = _span(box["left"], box["width"], width / side, width)
    return {"top": top, "left": left, "height": rows, "width": columns}


def _span(start: int, length: int, scale: float, limit: int) -> tuple[int, int]:
    """First pixel and number of pixels, at least one."""
    first = min(round(start * scale), limit - 1)
    return first, max(1, min(round((start + length) * scale), limit) - first)
