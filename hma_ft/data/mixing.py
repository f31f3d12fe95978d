"""Mixup (Zhang et al., ICLR 2018), cutmix (Yun et al., ICCV 2019) and label smoothing, on the device.

Neighbouring rows (2i, 2i+1) of the global batch are mixed with each other, and one lambda a step is drawn from
(seed, step): any number of processes and micro-batches of even size mixes the same.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.seeds import derive_seed


def mix(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    ids: Tensor,
    mixup_alpha: float,
    cutmix_alpha: float,
    label_smoothing: float,
    seed: int,
    step: int,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Images uint8 [B, 3, S, S] and labels [B] -> images, targets, ids of the partners [B] or None.

    Targets stay class ids [B] if nothing is on, else they are probabilities [B, C]. With both alphas greater than 0
    each step takes one of the two, by chance. The last row of an odd batch stays as it is.
    """
    if not (mixup_alpha or cutmix_alpha or label_smoothing):
        return images, labels, None
    targets = _smoothed(labels, num_classes, label_smoothing)
    if not (mixup_alpha or cutmix_alpha):
        return images, targets, None
    partner = _partners(len(labels), labels.device)
    generator = torch.Generator().manual_seed(derive_seed("mixing", seed, step))
    cut = bool(cutmix_alpha) and (not mixup_alpha or bool(torch.rand((), generator=generator) < 0.5))
    share = _beta(cutmix_alpha if cut else mixup_alpha, generator)
    if cut:
        images, share = _cut(images, partner, share, generator)
    else:
        mixed = share * images.float() + (1 - share) * images[partner].float()
        images = mixed.round().to(images.dtype)
    return images, share * targets + (1 - share) * targets[partner], ids[partner]


def _smoothed(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    return functional.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def _partners(count: int, device: torch.device) -> Tensor:
    """Row 2i with 2i+1."""
    rows = torch.arange(count, device=device)
    partner = rows ^ 1
    return torch.where(partner < count, partner, rows)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """One draw of Beta(alpha, alpha) from two gamma draws of a generator of its own."""
    state = torch.random.get_rng_state()
    try:
        torch.random.set_rng_state(generator.get_state())
        return float(torch.distributions.Beta(alpha, alpha).sample())
    finally:
        generator.set_state(torch.random.get_rng_state())
        torch.random.set_rng_state(state)


def _cut(images: Tensor, partner: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Paste the partner's box of area 1 - share; the share that is left, after clipping at the border."""
    height, width = images.shape[-2:]
    side = math.sqrt(1 - share)
    centre = torch.rand(2, generator=generator)
    top, bottom = _span(float(centre[0]), side, height)
    left, right = _span(float(centre[1]), side, width)
    pasted = images.clone()
    pasted[..., top:bottom, left:right] = images[partner][..., top:bottom, left:right]
    return pasted, 1 - (bottom - top) * (right - left) / (height * width)


def _span(centre: float, side: float, length: int) -> tuple[int, int]:
    """A stretch of `side` * length around the centre, clipped."""
    half, middle = round(side * length) / 2, centre * length
    return max(0, round(middle - half)), min(length, round(middle + half))
