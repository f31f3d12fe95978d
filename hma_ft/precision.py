"""Arithmetic that mixed precision must not lower: similarities that choose, probabilities, statistics of rows."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def at_least_single(tensor: Tensor) -> Tensor:
    """Return the tensor in float32, or in float64 if it is already."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> AbstractContextManager[None]:
    """Return a context in which operations on the tensor's device keep the precision of what they are given.

    Where autocast is off anyway nothing is entered, so that an exported graph has no trace of it.
    """
    device = tensor.device.type
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()
