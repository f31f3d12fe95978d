"""A picture file as uint8 RGB, whatever it holds."""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from hma_ft.errors import UserError

_JPEG = b"\xff\xd8\xff"
_UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


def decode(path: Path) -> Tensor:
    """uint8 [3, H, W], the channels of a pixel side by side in memory. Goes by the contents, not by the file's name.

    Grey, palette, RGBA (on white), CMYK and 16-bit pictures become RGB. Raises UserError with the path for a file that
    is truncated or no picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} can't be read ({error.strerror}): restore it or take it out of the data set"
        ) from error
    return decode_content(content, str(path))


def decode_content(content: bytes, name: str) -> Tensor:
    """uint8 [3, H, W] of a picture file that was read already; errors call it `name`."""
    if content.startswith(_JPEG) and _is_whole(content):
        try:
            return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
        except RuntimeError:
            pass  # CMYK and other rare kinds, which PIL knows
    try:
        with Image.open(BytesIO(content)) as picture:
            picture.load()
            return from_pil(picture)
    except _UNREADABLE as error:
        raise UserError(
            f"{name} is no readable picture ({error}): replace it or take it out of the data set"
        ) from error


def from_pil(picture: Image.Image) -> Tensor:
    """uint8 [3, H, W] of a loaded picture."""
    if picture.mode.startswith("I") or picture.mode == "F":
        grey = np.asarray(picture, dtype=np.float64)
        deep = picture.mode.startswith("I;16") or grey.max(initial=0.0) > 255
        rgb = np.repeat(np.clip(grey / 257 if deep else grey, 0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    elif "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        rgba = picture.convert("RGBA")
        rgb = np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    else:
        rgb = np.asarray(picture.convert("RGB"))
    return torch.from_numpy(np.array(rgb, order="C")).permute(2, 0, 1)


def _is_whole(content: bytes) -> bool:
    """Whether a JPEG has its end marker: libjpeg fills up a truncated one with grey and says nothing."""
    return b"\xff\xd9" in content[-1024:]
