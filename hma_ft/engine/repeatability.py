"""How closely a finished run's metrics can be repeated here, and why not more closely."""

import importlib.metadata
import socket
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hma_ft.config.schema import Config, Device, Precision
from hma_ft.engine.metrics import ECE_BINS
from hma_ft.tracking.environment import cpu_name

EXACT = 1e-6  # where nothing differs: the same operations in the same order

# By how much the log-probability of a class may move where sums are taken in another order, in nats.
MOVES = {Precision.fp32: 1e-3, Precision.fp16: 1e-2, Precision.bf16: 5e-2}


class Arithmetic(NamedTuple):
    """What two evaluations of the same weights must share to agree to the last digit."""

    device: str  # name of the GPU or the CPU
    threads: int | None  # of a CPU
    compiled: bool
    eval_batch_size: int
    torch: str  # version


def ran_on_gpu(config: Config, env: dict[str, Any]) -> bool:
    """Whether a run with this configuration and env.json computed on a GPU."""
    return bool(env.get("gpus")) and config.trainer.device is not Device.cpu


def recorded_arithmetic(config: Config, env: dict[str, Any]) -> Arithmetic:
    """The arithmetic of a finished run, by its config.yaml and env.json."""
    gpu = ran_on_gpu(config, env)
    return Arithmetic(
        device=env["gpus"][0] if gpu else _recorded_cpu(env),
        threads=None if gpu else env.get("torch_threads"),
        compiled=config.trainer.compile,
        eval_batch_size=config.trainer.eval_batch_size,
        torch=env.get("packages", {}).get("torch", "unknown"),
    )


def _recorded_cpu(env: dict[str, Any]) -> str:
    """Its name, which older records lack: on the same host it is the same."""
    host = env.get("host")
    return env.get("cpu") or (cpu_name() if host == socket.gethostname() else f"a CPU of {host}")


def arithmetic_here(config: Config, device: torch.device) -> Arithmetic:
    """The arithmetic of this process, on `device` with a configuration that is in force."""
    gpu = device.type == "cuda"
    return Arithmetic(
        device=torch.cuda.get_device_name(device) if gpu else cpu_name(),
        threads=None if gpu else torch.get_num_threads(),
        compiled=config.trainer.compile,
        eval_batch_size=config.trainer.eval_batch_size,
        torch=importlib.metadata.version("torch"),
    )


def differences(recorded: Arithmetic, here: Arithmetic) -> list[str]:
    """What differs, as text: `threads 8, here 1`."""
    return [
        f"{name} {then}, here {now}"
        for name, then, now in zip(Arithmetic._fields, recorded, here, strict=True)
        if then != now
    ]


def tolerances(probabilities: Tensor, labels: Tensor, move: float) -> dict[str, float]:
    """By how much each metric can differ if every log-probability moves by `move` nats at most.

    Probabilities [N, C], labels [N]. An image changes its class only where its two best classes are closer than twice
    the move, and its bin of the calibration error only where its confidence is within the move of the border.
    """
    ranked = probabilities.double().sort(dim=1, descending=True).values
    logs = ranked.clamp_min(torch.finfo(torch.float32).tiny).log()
    top1 = (logs[:, 0] - logs[:, 1]) < 2 * move
    k = min(5, ranked.shape[1])
    top5 = (logs[:, k - 1] - logs[:, k]) < 2 * move if k < ranked.shape[1] else torch.zeros_like(top1)
    borders = torch.arange(1, ECE_BINS, dtype=torch.float64) / ECE_BINS
    rebinned = ((logs[:, :1] - borders.log()).abs() < move).any(1)
    per_class = [top1[labels == label].double().mean() for label in labels.unique()]
    return {
        "top1": _share(top1),
        "top5": _share(top5),
        "mean_per_class": float(torch.stack(per_class).mean()),
        "nll": move,
        # a confidence p moves by p * move at most; an image that changes bins counts in both
        "ece": move + _share(top1) + 2 * _share(rebinned),
    }


def _share(images: Tensor) -> float:
    return images.double().mean().item()
