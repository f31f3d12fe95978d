"""Seconds that checkpoints take from a run, and what a thread that writes them leaves of that.

python -m analysis.benchmarks.checkpoints [--quick]

The state of `hma` with its momentum encoder and the optimizer's averages, on the disk of the temporary folder.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from analysis.benchmarks.measurement import Measurement, Options, main
from analysis.benchmarks.timing import interleaved, ratio
from analysis.methods.build import CLASSES, build
from hma_ft.config.schema import TrainerConfig
from hma_ft.engine import checkpoint
from hma_ft.engine.checkpoint_manager import SHARE, interval
from hma_ft.engine.checkpoint_writer import CheckpointWriter
from hma_ft.engine.inputs import MicroBatch
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.engine.train_step import TrainStep


def measure(options: Options) -> list[Measurement]:
    """Written and synced, against the time between two checkpoints; then the copy that a thread writes from."""
    model, repeats = ("vit_micro", 3) if options.quick else ("vit_b32", 5)
    content = _state(model)
    writer = CheckpointWriter(in_background=True)
    with tempfile.TemporaryDirectory() as folder:
        written = checkpoint.save(Path(folder), content, kind="step", step=0)
        size = f"{written.stat().st_size / 2**20:,.0f} MiB"
        times = interleaved(
            {
                "written": lambda: checkpoint.save(Path(folder), content, kind="step", step=1),
                "copied": lambda: writer.held(content),
            },
            repeats=repeats,
        )
    seconds = times["written"].median
    between = interval(60 * TrainerConfig().checkpoint_minutes, seconds)
    _, faster = ratio(times["written"], times["copied"])
    what = f"checkpoint of hma, {model}, {size}"
    return [
        Measurement(
            f"{what}: {times['written']}, written and synced",
            f"the time from one to the next: {between:.0f} s",
            f"{seconds / between:.1%}",
            f"at most {SHARE:.0%}",
            seconds / between <= SHARE + 1e-9,
        ),
        Measurement(
            f"the copy from which a thread writes it on a GPU: {times['copied']}", "writing it", f"{faster} faster"
        ),
    ]


def _state(model: str) -> dict[str, Any]:
    """Everything that a run holds after a step."""
    torch.manual_seed(0)
    built = build("method=hma", f"model={model}", device="cpu")
    side = built.config.model.image_size
    train_step = TrainStep(
        built.method, create_optimizer(built.method, built.config.optimizer), Accelerator(cpu=True), seed=0
    )
    images = torch.randint(256, (2, 3, side, side), dtype=torch.uint8)
    batch = MicroBatch(images, torch.randint(CLASSES, (2,)), torch.arange(2))
    train_step.step([batch], step=0, learning_rate_factor=1.0)
    return {"learner": train_step.state_dict()}


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
