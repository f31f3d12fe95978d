"""What of a finished run's settings a command decides, and what stays the run's own."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hma_ft.config.schema import Config, Device, ImageCaching
from hma_ft.engine.repeatability import ran_on_gpu

# Settings of a command that mean something for a finished run, or for the task that opens it.
_READ = (
    *("task", "run", "input", "output", "memory", "coverage", "nearest", "runs_dir", "tracking", "hydra", "sweep"),
    *(
        "dataset.root",
        "model.weights",
        "trainer.device",
        "trainer.num_workers",
        "trainer.eval_batch_size",
        "trainer.compile",
    ),
)


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """What a command decides about a finished run. None: as the run had it."""

    device: Device = Device.auto
    num_workers: int = 4  # loader processes
    dataset_root: str | None = None
    weights: str | None = None  # file of the pretrained ones
    eval_batch_size: int | None = None
    compile: bool = True  # the backbone, if the run did and this is a device of the same kind; false: in no case


def options_of(command: Config, given: frozenset[str]) -> OpenOptions:
    """Read them off a command; `given` are the keys that its command line names, be it with a default value."""
    trainer = command.trainer
    return OpenOptions(
        device=trainer.device,
        num_workers=trainer.num_workers,
        dataset_root=command.dataset.root if "dataset.root" in given else None,
        weights=command.model.weights if "model.weights" in given else None,
        eval_batch_size=trainer.eval_batch_size if "trainer.eval_batch_size" in given else None,
        compile=trainer.compile or "trainer.compile" not in given,
    )


def ignored_keys(given: frozenset[str]) -> list[str]:
    """Those of a command line that mean nothing for a finished run."""
    return sorted(key for key in given if not key.startswith(_READ))


def config_in_force(recorded: Config, env: dict[str, Any], options: OpenOptions, device: torch.device) -> Config:
    """The run's configuration with what the command decides, and paths that hold in this working directory."""
    config = copy.deepcopy(recorded)
    started_in = Path(env.get("folder", ""))
    dataset, model, trainer = config.dataset, config.model, config.trainer
    dataset.root = options.dataset_root or _located(dataset.root, started_in)
    dataset.download = False  # what has moved would be fetched again
    dataset.cache = ImageCaching.none  # every image is read once
    if options.weights is not None:
        model.weights = options.weights
    elif model.weights is not None:
        model.weights = _located(model.weights, started_in)
    config.runs_dir = _located(config.runs_dir, started_in)
    # a run that was copied elsewhere makes no folders there, and neither does one that may only be read
    trainer.cache_features &= os.access(config.runs_dir, os.W_OK)
    trainer.compile &= options.compile and (device.type == "cuda") == ran_on_gpu(recorded, env)
    trainer.device, trainer.num_workers = options.device, options.num_workers
    trainer.eval_batch_size = options.eval_batch_size or trainer.eval_batch_size
    return config


def _located(path: str, started_in: Path) -> str:
    """A path as it holds here: a relative one was meant in the folder in which the run was started."""
    there = started_in / Path(path).expanduser()
    return str(there if there.exists() or not Path(path).exists() else path)
