"""Arithmetic of a forward pass: single precision, or autocast to half of it."""

from contextlib import AbstractContextManager, nullcontext

import torch

from hma_ft.config.schema import Precision

_DTYPES = {Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}


def set_float32_arithmetic(precision: Precision) -> None:
    """Let a GPU multiply float32 matrices and convolve in TF32, if `precision` says so, and only then.

    Torch leaves convolutions in TF32 by default. This is a state of the process.
    """
    tf32 = precision is Precision.tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context in which a forward pass computes in `precision` on `device`.

    The same as Accelerate's, which keeps one precision a process; whoever opens several finished runs needs that of
    each, which is why the arithmetic of float32 is set here as well. A CPU computes in fp16 too, slowly.
    """
    set_float32_arithmetic(precision)
    dtype = _DTYPES.get(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)
