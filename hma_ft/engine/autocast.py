"""Arithmetic of a forward pass: single precision, or autocast to half of it."""

from contextlib import AbstractContextManager, nullcontext

import torch

from hma_ft.config.schema import Precision

_DTYPES = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which a forward pass computes in `precision` on `device`.

    The same as Accelerate's, which keeps one precision a process; whoever opens several finished runs needs that of
    each. A CPU computes in fp16 too, slowly.
    """
    dtype = _DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)
