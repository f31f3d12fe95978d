"""What the memory head costs as memories, classes, batch and processes grow: counted, and timed where it fits here.

python -m analysis.benchmarks.scale [--quick] [--out FILE]

Writes docs/SCALE.md. Operations are counted from shapes; the times of a step fit them with one factor, the speed of
this processor at the smallest setting: a row whose `measured / counted` is far from 1 has a cost that counting misses.
"""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from analysis.benchmarks.head_setup import BATCH, CLASSES, FEATURE_WIDTH, SLOTS, batch, filled_head, sgd, training_step
from analysis.benchmarks.machine import description
from analysis.benchmarks.measurement import REPOSITORY
from analysis.benchmarks.timing import interleaved
from hma_ft.hma.absorbed_attention import Sizes, multiply_adds, prefer_absorbed
from hma_ft.memory.label_embedding import LabelEmbedding
from hma_ft.memory.memory_rows import MemoryRows
from hma_ft.memory.ring_buffer import RealMemory

LABEL_WIDTH, HEADS, FLOAT = 64, 4, 4  # bytes of a float32


@dataclass(frozen=True)
class Setting:
    """Sizes that the cost depends on."""

    rows: int = 512  # R
    slots: int = SLOTS  # S, a class
    classes: int = CLASSES  # C
    batch: int = BATCH  # images a process
    processes: int = 1

    @property
    def width(self) -> int:
        """D + L."""
        return FEATURE_WIDTH + LABEL_WIDTH

    def operations(self) -> dict[str, float]:
        """Multiply-adds of forward and backward a process and step, by term; a product has two gradients."""
        n, w, k = self.batch, self.width, self.slots * self.classes
        seen = n * self.processes
        sizes = Sizes.of(n, self._memory(), heads=HEADS, backward=True)
        projected, absorbed = multiply_adds(sizes)
        return {
            "readers": 3 * n * w * (2 * 8 * w + 3 * w + self.classes),  # two FFNs, q k v of the own row, classifier
            "real memory": float(absorbed if prefer_absorbed(sizes) else projected),
            "slots": float(k * 6 * (w + n) * w),
            "between images": float(3 * (seen * 3 * w + 2 * n * seen) * w),
        }

    def _memory(self) -> MemoryRows:
        """As the head reads it; nothing is allocated."""
        with torch.device("meta"):
            memory = RealMemory(
                self.rows, feature_width=FEATURE_WIDTH, label_width=LABEL_WIDTH, num_classes=self.classes
            )
            return memory.stored(LabelEmbedding(self.classes, LABEL_WIDTH))

    def bytes(self) -> dict[str, float]:
        """What is kept between steps: the slots with gradient and momentum, the queue, the label table."""
        k = self.slots * self.classes
        return {
            "slots, their gradient and momentum": 3.0 * FLOAT * k * FEATURE_WIDTH,
            "queue": float(self.rows * (FLOAT * FEATURE_WIDTH + 8 * 3 + 1)),
            "label table and classifier, gradient and momentum": 3.0
            * FLOAT
            * self.classes
            * (LABEL_WIDTH + self.width),
        }

    def sent(self) -> float:
        """Bytes a process receives a step from the others: rows of the batch with their gradient, and queue rows."""
        others = self.batch * (self.processes - 1)
        return float(others * FLOAT * (2 * self.width + FEATURE_WIDTH))


BASE = Setting()
GROWTH: dict[str, tuple[Setting, ...]] = {
    "R": tuple(replace(BASE, rows=rows) for rows in (512, 4096, 65_536, 1_048_576)),
    "S": tuple(replace(BASE, slots=slots) for slots in (16, 64, 256)),
    "classes": tuple(replace(BASE, classes=classes) for classes in (47, 1000, 21_000)),
    "batch": tuple(replace(BASE, batch=size) for size in (128, 512, 2048)),
    "processes": tuple(replace(BASE, processes=number) for number in (1, 8, 64)),
}
MEASURED = (
    BASE,
    replace(BASE, rows=4096),
    replace(BASE, rows=65_536),
    replace(BASE, slots=64),
    replace(BASE, classes=1000),
    replace(BASE, batch=512),
)
TEXT = """\
# Scale

For whoever plans larger memories, more classes or more processes. Written by `python -m analysis.benchmarks.scale`.
Width 768 + 64, four heads; R=512, S=16, 47 classes, batch 128 in one process unless a row says otherwise. G are 10^9
multiply-adds of forward and backward a step and process.

## Counted

{counted}

- **Readers** (queries and the two feed-forward parts) lead at the released sizes. They grow with the batch, as a
  backbone does, and stay the same small share of it.
- **Real memory** takes over between R=512 and R=4,096; from there on cost is linear in R. Its rows have no
  gradient, so nothing but one number for each reader, head and row is kept for the backward pass.
- **Slots** grow with classes times S, and every image reads all of them: with many classes they are the largest cost,
  in time and in memory (their gradient and momentum are as large again). Lower S first: S=1 keeps one slot a class.
- **Between images** every process reads the rows of all others; sent are the rows with their gradient, and the rows
  that the queue takes.

## Measured here

{machine}

{measured}
"""


def counted() -> str:
    """Markdown: every growth with its terms, the largest one in bold."""
    titles = ["setting", *(f"{term}, G" for term in BASE.operations()), "kept, MiB", "received, MiB a step"]
    lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)])]
    for name, settings in GROWTH.items():
        for setting in settings:
            operations = setting.operations()
            most = max(operations, key=operations.__getitem__)
            numbers = [_bold(f"{operations[term] / 1e9:,.1f}", term == most) for term in operations]
            memory = f"{sum(setting.bytes().values()) / 2**20:,.1f}"
            lines.append(_line([_name(name, setting), *numbers, memory, f"{setting.sent() / 2**20:,.1f}"]))
    return "\n".join(lines)


def measured(settings: tuple[Setting, ...], repeats: int) -> str:
    """Markdown: the time of a head's step beside what counting expects."""
    times = {}
    for setting in settings:
        head = filled_head(setting.rows, classes=setting.classes, slots=setting.slots)
        features, labels, ids = batch(setting.batch, classes=setting.classes)
        step = training_step(head, features, labels, ids, sgd(head))
        times[setting] = interleaved({"step": step}, repeats=repeats)["step"]
    base = times[settings[0]].median / sum(settings[0].operations().values())
    lines = [_line(["R", "S", "classes", "batch", "step", "counted, G", "measured / counted"])]
    lines.append(_line(["---:"] * 4 + ["---", "---:", "---:"]))
    for setting, time in times.items():
        total = sum(setting.operations().values())
        sizes = [f"{n:,}" for n in (setting.rows, setting.slots, setting.classes, setting.batch)]
        lines.append(_line([*sizes, str(time), f"{total / 1e9:,.1f}", f"{time.median / (base * total):.2f}"]))
    return "\n".join(lines)


def _name(growth: str, setting: Setting) -> str:
    values = {"R": setting.rows, "S": setting.slots, "classes": setting.classes, "batch": setting.batch}
    return f"{growth} = {values.get(growth, setting.processes):,}"


def _bold(text: str, bold: bool) -> str:
    return f"**{text}**" if bold else text


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """Count, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="measure little, write only to --out")
    parser.add_argument("--out", type=Path, help="where the page is written; docs/SCALE.md unless --quick")
    chosen = parser.parse_args(arguments)
    machine = description()
    settings = tuple(replace(s, batch=8) for s in MEASURED[:2]) if chosen.quick else MEASURED
    page = TEXT.format(counted=counted(), machine=machine, measured=measured(settings, 2 if chosen.quick else 5))
    print(page)
    out = chosen.out or (None if chosen.quick else REPOSITORY / "docs/SCALE.md")
    if out is not None:
        out.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
