"""How an image becomes the model's input, as numbers that another program can follow."""

from typing import Any

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import Resize
from hma_ft.data.transforms import EvalTransform


def preparation(backbone: Backbone, transform: EvalTransform) -> dict[str, Any]:
    """Sizes in pixels; mean and std for values of 0..1."""
    return {
        "resize_short_side": transform.resized_side,
        "interpolation": transform.interpolation,
        "centre_crop": transform.image_size,
        "resize": transform.resize.value,
        "exif_orientation": transform.upright,
        "mean": rounded(backbone.mean.flatten().tolist()),
        "std": rounded(backbone.std.flatten().tolist()),
    }


def resizing_in_words(prepared: dict[str, Any]) -> str:
    """How an image is resized, for a reader of the card."""
    side, how = prepared["resize_short_side"], f"{prepared['interpolation']}, antialiased"
    resized = {
        Resize.crop.value: f"short side resized to {side} pixels ({how})",
        Resize.squash.value: f"squashed to {side} x {side} pixels ({how})",
        Resize.pad.value: f"long side resized to {side} pixels ({how}), the short one padded by the mean colour",
    }
    return f"{resized[prepared['resize']]}, centre crop of {prepared['centre_crop']}"


def crop_ratio(image_size: int, resized_side: int) -> float:
    """Ratio that leads to these pixels, though the resized side is rounded down: hence half a pixel more."""
    return 1.0 if resized_side == image_size else image_size / (resized_side + 0.5)


def rounded(values: list[float]) -> list[float]:
    """The decimals that a float32 came from: 0.485, and not 0.48500001430511475."""
    return [float(f"{value:.7g}") for value in values]
