"""What features depend on beside images, weights and transform: the arithmetic in force, the device, the libraries."""

from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

_LIBRARIES = ("torchvision", "timm", "pillow")  # decode, resize and build the model, beside torch


def arithmetic_in_force(
    backbone: nn.Module, device: torch.device, autocast: AbstractContextManager[object]
) -> dict[str, Any]:
    """Return how `backbone` computes on `device` inside `autocast`, as JSON takes it.

    This is asked of torch and of the module, not of a configuration: what was configured may not have been applied.
    On a CPU the number of threads and the instruction set change the last digits, on a GPU its kind does.
    """
    with autocast:
        enabled = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if enabled else None
    found: dict[str, Any] = {
        "device": device.type,
        "autocast": str(dtype),
        "matmul": torch.get_float32_matmul_precision(),
        "channels_last": _is_channels_last(backbone),
        "compiled": any(module._compiled_call_impl is not None for module in backbone.modules()),
    }
    if device.type == "cpu":
        found |= {"threads": torch.get_num_threads(), "instructions": torch.backends.cpu.get_cpu_capability()}
    elif device.type == "cuda":
        found |= {
            "gpu": torch.cuda.get_device_name(device),
            "capability": list(torch.cuda.get_device_capability(device)),
            "cudnn": [torch.backends.cudnn.version(), torch.backends.cudnn.allow_tf32],
        }
    return found


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that turn an image file into features."""
    return {"torch": torch.__version__, **{name: version(name) for name in _LIBRARIES}}


def _is_channels_last(module: nn.Module) -> bool:
    """Whether a convolution's weights lie with the channels of a pixel side by side."""
    return any(
        weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
        for weight in module.parameters()
        if weight.ndim == 4
    )
