"""Whatever pixel format pillow opens, as uint8 RGB."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_SIXTEEN_BITS = 65535


def rgb_pixels(image: Image.Image) -> Tensor:
    """uint8 [3, H, W] of a loaded image; transparent parts become white.

    Grey values of more than eight bits are scaled by the range that they are stored in: 16-bit integers by 65535;
    32-bit integers and floats by 65535 if one exceeds 255; floats in 0..1 by 1. ValueError where no range fits.
    """
    if image.mode.startswith("I") or image.mode == "F":
        rgb = np.repeat(_eight_bits(image)[..., None], 3, axis=2)
    elif "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        rgba = image.convert("RGBA")
        rgb = np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    else:
        rgb = np.asarray(image.convert("RGB"))
    return torch.from_numpy(np.array(rgb, order="C")).permute(2, 0, 1)


def _eight_bits(image: Image.Image) -> np.ndarray:
    """uint8 [H, W] of deep grey values."""
    grey = np.asarray(image, dtype=np.float64)
    low, high = float(grey.min(initial=0.0)), float(grey.max(initial=0.0))  # NaN if there is one
    if not 0 <= low <= high <= _SIXTEEN_BITS:
        kind = "float" if image.mode == "F" else "integer"
        raise ValueError(
            f"its {kind} grey values, {low:g} to {high:g}, lie outside 0..1, 0..255 and 0..65535: "
            "scale them and save the image again"
        )
    if image.mode.startswith("I;16") or high > 255:
        grey = grey / 257
    elif image.mode == "F" and high <= 1:
        grey = grey * 255
    return grey.round().astype(np.uint8)
