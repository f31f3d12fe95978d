"""Steps a second and peak memory on a GPU; the share of the memory head; every method; whether the input keeps up.

python -m analysis.benchmarks.gpu [--part PART ...] [--model NAME] [--quick] [--workers N] [--no-compile] [--out FILE]

Batch 128, bf16, channels last, random weights. The parts:

    head     head and hma_head, with and without torch.compile, beside the memory projected for each sample
    full     full fine-tuning and hma, likewise, with the time that the first step took to compile
    methods  one step of every method that takes steps, beside full fine-tuning
    input    images a second from JPEGs through the run's own loader, beside the step on a batch that is there

With --quick, or without a GPU, sizes are small: the script is tried out, the numbers mean nothing.
"""

import argparse
import os
import sys
from pathlib import Path

import torch

from analysis.benchmarks.gpu_input import keeps_up
from analysis.benchmarks.gpu_setup import FULL, QUICK, Measured, Sizes, measure
from analysis.benchmarks.machine import description
from analysis.benchmarks.measurement import Measurement, options, table
from analysis.benchmarks.methods import METHODS as STEPPED

PER_SAMPLE = "memory projected for each sample"
PARTS = ("head", "full", "methods", "input")
# What a method is compared with, and how much it may add. The momentum encoder's forward pass has no target.
BASES: dict[str, tuple[str, float | None]] = {
    "hma": ("full", None),
    "hma without momentum encoder": ("full", 0.03),
    "hma_head": ("head", 0.06),
}
METHODS = {"head": ("head", "hma_head"), "full": ("full", "hma", "hma without momentum encoder")}


def memory_share(part: str, model: str, sizes: Sizes, *, compiled: bool) -> list[Measurement]:
    """Steps a second and peak memory of the methods of a part, and what the memory adds to a step."""
    measurements, found = [], {}
    for name in METHODS[part]:
        for per_sample in (False, True) if name in BASES and not compiled else (False,):
            label = f"{name}, {PER_SAMPLE}" if per_sample else name
            what = f"{model}, {label}, bf16, batch {sizes.batch}{', compiled' if compiled else ''}"
            measured = measure(model, name, sizes, compiled=compiled, per_sample=per_sample)
            if measured is None:
                measurements.append(Measurement(what, "", "does not fit into the memory of the GPU"))
                continue
            found[label] = measured
            measurements.append(Measurement(what, "", _in_words(measured)))
    return measurements + _shares(model, found, compiled)


def _in_words(measured: Measured) -> str:
    return (
        f"{1000 * measured.seconds:.2f} ms a step, peak memory {measured.peak / 2**20:,.0f} MiB, first step after "
        f"{measured.first:.1f} s"
    )


def _shares(model: str, found: dict[str, Measured], compiled: bool) -> list[Measurement]:
    """What HMA adds to a step."""
    measurements = []
    for name, (base, limit) in BASES.items():
        if name not in found or base not in found:
            continue
        what = f"{model}{', compiled' if compiled else ''}, {name}"
        added = found[name].seconds / found[base].seconds - 1
        measurements.append(
            Measurement(
                what,
                f"{base}, {1000 * found[base].seconds:.2f} ms a step",
                f"{added:+.1%}",
                "" if limit is None else f"at most {limit:.0%}",
                None if limit is None else added <= limit,
            )
        )
        slow = found.get(f"{name}, {PER_SAMPLE}")
        if slow is not None:
            measurements.append(Measurement(what, PER_SAMPLE, f"{slow.seconds / found[name].seconds:.2f} x faster"))
    return measurements


def every_method(model: str, sizes: Sizes) -> list[Measurement]:
    """One row a method; none without a momentum encoder may cost more than full fine-tuning."""
    full, measurements = measure(model, "full", sizes), []
    for name in STEPPED:
        found = measure(model, name, sizes)
        what = f"{model}, step of {name}, bf16, batch {sizes.batch}"
        if full is None or found is None:
            measurements.append(Measurement(what, "full", "does not fit into the memory of the GPU"))
            continue
        ratio, memory = found.seconds / full.seconds, found.peak / max(full.peak, 1)
        # HMA over a backbone that trains runs its momentum copy too, and is no rival in cost
        bounded = not name.startswith("hma")
        measurements.append(
            Measurement(
                what,
                f"full, {1000 * full.seconds:.2f} ms a step, {full.peak / 2**20:,.0f} MiB",
                f"{ratio:.2f} x the time, {memory:.2f} x the memory",
                "below 1" if bounded else "",
                ratio < 1 if bounded else None,
            )
        )
    return measurements


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=PARTS, help="what to measure; all if left out")
    parser.add_argument("--model", help="a choice of the group model; by default vit_b32 and vit_b16")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script out")
    parser.add_argument("--workers", type=int, default=min(8, len(os.sched_getaffinity(0))), help="loader processes")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--out", type=Path, help="also write the page here")
    chosen = parser.parse_args(arguments)
    sizes = QUICK if chosen.quick or not torch.cuda.is_available() else FULL
    models = sizes.models if chosen.model is None else (chosen.model,)
    measurements: list[Measurement] = []
    for part in chosen.part:
        for model in models:
            if part in METHODS:
                for compiled in (False,) if chosen.no_compile else (False, True):
                    measurements += memory_share(part, model, sizes, compiled=compiled)
            elif part == "methods":
                measurements += every_method(model, sizes)
        if part == "input":
            shared = options([]).shared
            measurements += keeps_up(sizes, shared, chosen.workers, compiled=not chosen.no_compile)
    page = f"# Speed on a GPU\n\n{description()}\n\n{table(measurements)}\n"
    print(page)
    if chosen.out is not None:
        chosen.out.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
