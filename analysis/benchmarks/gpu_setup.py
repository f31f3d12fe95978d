"""One training step of a method on a GPU, without the bookkeeping of a run."""

import gc
import time
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from analysis.benchmarks.head_setup import sgd
from analysis.benchmarks.released_head import ReleasedHead
from analysis.benchmarks.timing import interleaved
from analysis.methods.build import CLASSES, build
from hma_ft.build import prepare_for_device
from hma_ft.config.schema import TrainerConfig
from hma_ft.methods.base import Method, MicroBatchOutput, Output
from hma_ft.methods.hma import HMA

NOT_BY_NAME = {"hma without momentum encoder": ("method=hma", "method.hma.real.momentum=0")}


class Sizes(NamedTuple):
    """What is measured, in full or to try the script out."""

    models: tuple[str, ...]
    input_models: tuple[str, ...]
    batch: int
    repeats: int
    steps: int  # per repeat


class Measured(NamedTuple):
    """What a training step costs."""

    seconds: float  # the median
    peak: int  # bytes on the GPU; 0 without one
    first: float  # seconds of the first step, compilation included


FULL = Sizes(("vit_b32", "vit_b16"), ("vit_b32", "deit_tiny"), 128, 5, 10)
QUICK = Sizes(("vit_micro",), ("vit_micro",), 8, 2, 1)


class Setup:
    """A method on the device with an optimizer: one training step of the run's loop, without its bookkeeping."""

    def __init__(
        self, model: str, method: str, sizes: Sizes, *, compiled: bool = False, per_sample: bool = False
    ) -> None:
        torch.manual_seed(0)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        chosen = NOT_BY_NAME.get(method, (f"method={method}",))
        built = build(*chosen, f"model={model}", device=self.device.type)
        self.side = built.config.model.image_size
        self.method: Method = built.method.train()
        prepare_for_device(self.method, TrainerConfig(compile=compiled, channels_last=self.device.type == "cuda"))
        self.released = ReleasedHead(self.method.head) if per_sample and isinstance(self.method, HMA) else None
        self.optimizer = sgd(self.method)

    def step(self, images: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Forward, backward, the memory's write, the optimizer."""
        with torch.autocast(self.device.type, torch.bfloat16):
            features = self.method.features(images)
            logits = self.method.classify(features, ids) if self.released is None else self.released(features)
            loss = functional.cross_entropy(logits, labels)
        loss.backward()
        with torch.autocast(self.device.type, torch.bfloat16), torch.no_grad():
            self.method.after_backward([MicroBatchOutput(images, Output(logits, features), labels, ids)])
        self.optimizer.step()
        self.optimizer.zero_grad()


def measure(
    model: str, method: str, sizes: Sizes, *, compiled: bool = False, per_sample: bool = False
) -> Measured | None:
    """Time and memory of a step; None where the memory of the GPU does not suffice."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        setup = Setup(model, method, sizes, compiled=compiled, per_sample=per_sample)
        data = random_batch(sizes, setup.side, setup.device)
        started = time.perf_counter()
        several(setup, data, 1)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        first = time.perf_counter() - started
        times = interleaved({"": partial(several, setup, data, sizes.steps)}, repeats=sizes.repeats)[""]
    except torch.OutOfMemoryError:
        return None
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return Measured(times.median / sizes.steps, peak, first)


def several(setup: Setup, data: tuple[Tensor, Tensor, Tensor], steps: int) -> None:
    """So many steps on the same batch."""
    for _ in range(steps):
        setup.step(*data)


def random_batch(sizes: Sizes, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images as the loader gives them, labels and ids, on the device."""
    images = torch.randint(256, (sizes.batch, 3, side, side), dtype=torch.uint8, device=device)
    labels, ids = torch.randint(CLASSES, (sizes.batch,)), torch.arange(sizes.batch)
    return images.contiguous(memory_format=torch.channels_last), labels.to(device), ids.to(device)
