"""Peak memory of the head's training step with a small and with a large memory, each in a process of its own.

python -m analysis.benchmarks.memory [--quick]
"""

import sys

from analysis.benchmarks.child import in_a_process
from analysis.benchmarks.head_setup import BATCH, CLASSES, FEATURE_WIDTH, SLOTS
from analysis.benchmarks.measurement import Measurement, Options, main

LABEL_WIDTH, HEADS = 64, 4


def measure(options: Options) -> list[Measurement]:
    """Peaks beside what the formula says."""
    size, few, many = options.size(BATCH, 8), options.size(512, 32), options.size(65536, 256)
    small, large = (in_a_process(peak_bytes, rows, size) for rows in (few, many))
    width = FEATURE_WIDTH + LABEL_WIDTH
    stored, kept = 4 * many * FEATURE_WIDTH, 4 * HEADS * size * many
    repeated = 4 * size * many * width
    return [
        Measurement(
            f"peak memory of the head's steps, R={many} S={SLOTS}, batch {size}: {_mib(large)}",
            f"the same with R={few}: {_mib(small)}",
            f"{_mib(large - small)} more, of which {_mib(stored)} are the memory and {_mib(kept)} one score for each "
            "head, reader and row",
            f"no tensor of batch x rows x width, {_mib(repeated)}",
            large - small < min(repeated, 4 * (stored + kept)),
        )
    ]


def peak_bytes(rows: int, size: int) -> int:
    """Peak memory of three training steps."""
    from analysis.benchmarks.head_setup import batch, filled_head, sgd, training_step
    from hma_ft.engine.peak_memory import peak_memory_bytes

    head = filled_head(rows)
    step = training_step(head, *batch(size, classes=CLASSES), sgd(head))
    for _ in range(3):
        step()
    return peak_memory_bytes()


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
