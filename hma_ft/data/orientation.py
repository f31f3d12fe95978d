"""EXIF orientation: how a camera says which side of the stored pixels is up."""

import warnings

from PIL import Image
from PIL.ExifTags import Base
from torch import Tensor

UPRIGHT = 1


def exif_orientation(image: Image.Image) -> int:
    """Value 1 to 8 of the orientation tag; 1 where there is none, or one that no standard knows.

    Damaged metadata counts as none: the pixels may be fine.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = image.getexif().get(Base.Orientation)
    except Exception:  # a parser's many kinds, of data that any program may have written
        return UPRIGHT
    return value if isinstance(value, int) and 2 <= value <= 8 else UPRIGHT


def turned_upright(pixels: Tensor, orientation: int) -> Tensor:
    """Pixels [3, H, W] as the orientation 1 to 8 wants them shown, with the channels of a pixel side by side."""
    if orientation == UPRIGHT:
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(-1, -2)
    flipped = {2: [-1], 3: [-1, -2], 4: [-2], 6: [-1], 7: [-1, -2], 8: [-2]}.get(orientation, [])
    return pixels.flip(flipped).permute(1, 2, 0).contiguous().permute(2, 0, 1)
