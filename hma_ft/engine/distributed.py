"""The processes of a run: Accelerate, and whether it gave what was asked for."""

import os
from datetime import timedelta

import psutil
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

from hma_ft.config.schema import Device, Precision, TrainerConfig
from hma_ft.engine.autocast import set_float32_arithmetic
from hma_ft.errors import UserError

_MIXED = {Precision.fp32: "no", Precision.tf32: "no", Precision.bf16: "bf16", Precision.fp16: "fp16"}


def create_accelerator(config: TrainerConfig, *, mixes_pairs: bool = False) -> Accelerator:
    """Accelerate on the configured device and precision, in as many processes as the launcher was asked for.

    `mixes_pairs`: neighbouring images of a step are mixed, so that neither a process nor a micro-batch may cut a pair.
    """
    on_cpu = _is_cpu(config.device)
    if config.precision in (Precision.fp16, Precision.tf32) and on_cpu:
        raise UserError(f"trainer.precision={config.precision.value} needs a GPU: use fp32 or bf16 on a CPU")
    _refuse_other_engines()
    set_float32_arithmetic(config.precision)
    accelerator = _accelerator(on_cpu, _MIXED[config.precision])
    per_step = accelerator.num_processes * config.grad_accumulation
    if config.batch_size % per_step:
        raise UserError(
            f"trainer.batch_size={config.batch_size} is the batch of all {accelerator.num_processes} processes and "
            f"must be a multiple of processes x trainer.grad_accumulation = {per_step}"
        )
    if mixes_pairs and per_step > 1 and config.batch_size // per_step % 2:
        raise UserError(
            f"trainer.batch_size={config.batch_size} in {per_step} parts (processes x trainer.grad_accumulation) cuts "
            f"a pair of images that mixup or cutmix mixes: make it a multiple of {2 * per_step}"
        )
    return accelerator


def create_evaluation_accelerator(device: Device) -> Accelerator:
    """Accelerate on a device, to evaluate finished runs of any precision: a Predictor knows which.

    UserError where this process computes on another device already, which Accelerate does not change.
    """
    on_cpu = _is_cpu(device)
    try:
        accelerator = _accelerator(on_cpu, None)
    except ValueError as error:
        raise UserError(f"device={device.value} can't be used by this process ({error})") from error
    if (accelerator.device.type == "cpu") != on_cpu:
        raise UserError(
            f"device={device.value}: this process computes on {accelerator.device.type} already; start a new one"
        )
    return accelerator


def _is_cpu(device: Device) -> bool:
    """Whether the device is a CPU here. UserError for a GPU that torch does not see."""
    cuda = torch.cuda.is_available()
    if device is Device.cuda and not cuda:
        raise UserError(
            "trainer.device=cuda, but torch sees no GPU: use trainer.device=cpu or auto, or check the driver"
        )
    return device is Device.cpu or not cuda


_OTHER_ENGINES = {  # what `accelerate launch` sets in the environment, by its own configuration
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_DYNAMO_BACKEND": "TorchDynamo",
}


def _refuse_other_engines() -> None:
    """UserError for engines that would divide or compile the model behind the method's back."""
    for variable, engine in _OTHER_ENGINES.items():
        if os.environ.get(variable, "no").lower() not in ("", "no", "false", "0"):
            instead = (
                "trainer.compile=true compiles" if engine == "TorchDynamo" else "every process holds the whole model"
            )
            raise UserError(
                f"{engine} is chosen by the configuration of accelerate ({variable}={os.environ[variable]}), which "
                f"this suite does not support ({instead}): run `accelerate config` again without it, or unset it"
            )


def _accelerator(on_cpu: bool, mixed_precision: str | None) -> Accelerator:
    accelerator = Accelerator(
        cpu=on_cpu,
        mixed_precision=mixed_precision,
        kwargs_handlers=[
            DistributedDataParallelKwargs(broadcast_buffers=False),
            InitProcessGroupKwargs(timeout=timedelta(minutes=10)),
        ],
    )
    _require_processes(accelerator.num_processes)
    return accelerator


def _require_processes(obtained: int) -> None:
    """Compare with what torchrun's environment or the command line of `accelerate launch` asked for."""
    asked = int(os.environ.get("WORLD_SIZE", _asked_of_accelerate()))
    if asked != obtained:
        raise UserError(
            f"{asked} processes were asked for, but this run has {obtained}: on a CPU, start it by "
            f"`torchrun --nproc-per-node {asked} run.py ...` (accelerate launch starts one process there)"
        )


def _asked_of_accelerate() -> int:
    """--num_processes of the `accelerate launch` that started this process; 1 if there is none."""
    parent = psutil.Process().parent()
    words = [] if parent is None else parent.cmdline()
    program = " ".join(words[:4])  # python accelerate launch, accelerate-launch, python -m accelerate.commands.launch
    if "accelerate" not in program or "launch" not in program:
        return 1
    for index, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag in ("--num_processes", "--num-processes"):
            return int(value or words[index + 1])
    return 1
