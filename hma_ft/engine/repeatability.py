"""How closely a finished run's metrics can be repeated here, and why not more closely."""

import importlib.metadata
import socket
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hma_ft.config.schema import Config, Device, Precision
from hma_ft.engine.metrics import ECE_BINS
from hma_ft.engine.risk_coverage import area_tolerance
from hma_ft.rundir.environment import cpu_name

EXACT = 1e-6  # where nothing differs: the same operations in the same order


class Move(NamedTuple):
    """By how much log-probabilities move that are computed in another way, in nats."""

    mean: float  # over images, of the class that is predicted
    largest: float  # of any image and class


# Twice what the precision was measured to move against fp32, since either side has its own error: DeiT-Tiny, 1000
# ImageNet classes, images of textures. Runs recorded before fp32 was told to be fp32 took convolutions in TF32.
_HALF = {Precision.fp16: Move(0.005, 0.04), Precision.bf16: Move(0.04, 0.2)}
_TF32 = Move(0.0015, 0.025)
_FP32 = Move(1e-5, 5e-5)


class Arithmetic(NamedTuple):
    """What two evaluations of the same weights must share to agree to the last digit."""

    device: str  # name of the GPU or the CPU
    gpu: bool
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
        gpu=gpu,
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
        gpu=gpu,
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
        if then != now and name != "gpu"  # the device says it
    ]


def expected_move(precision: Precision, recorded: Arithmetic, here: Arithmetic) -> Move:
    """What rounding may do between two evaluations in one precision that differ in their arithmetic."""
    on_gpu = recorded.gpu or here.gpu
    return _HALF.get(precision) or (_TF32 if on_gpu or precision is Precision.tf32 else _FP32)


def tolerances(probabilities: Tensor, labels: Tensor, move: Move) -> dict[str, float]:
    """By how much each metric can differ if log-probabilities move so far.

    Probabilities [N, C], labels [N]. An image changes its class only where its two best classes are closer than twice
    the largest move, and its bin of the calibration error only where its confidence is within it of the border.
    """
    ranked = probabilities.double().sort(dim=1, descending=True).values
    logs = ranked.clamp_min(torch.finfo(torch.float32).tiny).log()
    top1 = (logs[:, 0] - logs[:, 1]) < 2 * move.largest
    k = min(5, ranked.shape[1])
    top5 = (logs[:, k - 1] - logs[:, k]) < 2 * move.largest if k < ranked.shape[1] else torch.zeros_like(top1)
    borders = torch.arange(1, ECE_BINS, dtype=torch.float64) / ECE_BINS
    rebinned = ((logs[:, :1] - borders.log()).abs() < move.largest).any(1)
    per_class = [top1[labels == label].double().mean() for label in labels.unique()]
    return {
        "top1": _share(top1),
        "top5": _share(top5),
        "mean_per_class": float(torch.stack(per_class).mean()),
        "nll": move.mean,
        # a confidence moves by less than its logarithm; an image that changes bins counts in both
        "ece": move.mean + _share(top1) + 2 * _share(rebinned),
        "aurc": area_tolerance(logs[:, 0], probabilities.argmax(1) != labels, top1, move=move.largest),
    }


def _share(images: Tensor) -> float:
    return images.double().mean().item()
