"""A batch of images."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """uint8 all the way to the device, which normalises."""

    images: Tensor  # uint8 [B, 3, S, S], RGB; channels last in memory
    labels: Tensor  # int64 [B]
    ids: Tensor  # int64 [B], index of the sample in its split

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))

    def pin_memory(self) -> "Batch":
        """For faster copies to a GPU; the loader calls it."""
        return Batch(*(tensor.pin_memory() for tensor in self))
