"""What a trial of the documented recipe costs where a frozen backbone's features are stored, on one core.

python -m analysis.benchmarks.recipe [--quick]

HMA on frozen DeiT-Tiny, DTD at 112 pixels: 1000 steps of 128 images, 512 rows, 16 slots a class, ten views of each
training image. The first command computes the features, the others differ from it in their learning rate.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analysis.benchmarks.measurement import Measurement, Options, main, skipped
from analysis.benchmarks.run_py import run_py
from analysis.benchmarks.timing import Times

TARGET_SECONDS = 60
RATES = (0.003, 0.01, 0.03, 0.1)
LENGTH = ["trainer.max_steps=1000", "trainer.batch_size=128", "trainer.eval_every=250", "augment.views=10"]
SHORT = ["trainer.max_steps=4", "trainer.batch_size=8", "trainer.eval_every=2", "augment.views=2"]
MEMORY = ["method=hma_head", "method.hma.real.size=512", "method.hma.synthetic.slots=16"]


def measure(options: Options) -> list[Measurement]:
    """One row: commands on stored features, imports and evaluation included, beside the one that filled the store."""
    what = "a command of hma_head, 1000 steps of 128 on stored features, one core"
    if options.quick:
        run = ["model=vit_micro", "dataset=digits", "augment=digits", *SHORT]
    elif options.shared is None:
        return [skipped(what)]
    else:
        weights = options.shared / "data/weights/deit_tiny_patch16_224.pth"
        run = ["model=deit_tiny", f"model.weights={weights}", "dataset=dtd", f"dataset.root={options.shared / 'data'}"]
        run += ["augment.image_size=112", *LENGTH]
    with tempfile.TemporaryDirectory() as folder, _one_core():
        filling, *seconds = (
            _seconds([*run, *MEMORY, f"optimizer.lr={rate}"], Path(folder)) for rate in RATES[: options.size(4, 2)]
        )
    times = Times(tuple(seconds))
    return [
        Measurement(
            what,
            f"the first, which computed the features: {filling:.0f} s",
            f"{times}",
            f"at most {TARGET_SECONDS} s",
            times.median <= TARGET_SECONDS,
        )
    ]


def _seconds(arguments: list[str], folder: Path) -> float:
    """Wall seconds of `run.py`."""
    started = time.perf_counter()
    run_py(["tracking=off", "trainer.device=cpu", "trainer.num_workers=0", *arguments], folder)
    return time.perf_counter() - started


@contextmanager
def _one_core() -> Iterator[None]:
    """Programs that start meanwhile have one core, where the system lets a process choose."""
    if not hasattr(os, "sched_setaffinity"):
        raise RuntimeError("a process cannot be kept on one core here; measure on Linux")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
