"""Steps a second and peak memory on a GPU; the share of the memory head; whether the input keeps up.

python -m analysis.benchmarks.gpu [--quick] [--workers N] [--no-compile] [--out FILE]

Full, head, hma and hma_head at ViT-B/32 and B/16, batch 128, bf16, with and without torch.compile, beside the same with
the memory projected for each sample (where that fits into the GPU's memory); then images a second of ViT-B/32 and
DeiT-Tiny from JPEGs through the run's own loader beside those of the same step on data that are already there. Weights
are random. With --quick, or without a GPU, sizes are small: the script is tried out, the figures mean nothing.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from analysis.benchmarks.finding import Finding, Options, options, skipped, table
from analysis.benchmarks.gpu_setup import FULL, METHODS, QUICK, Setup, Sizes, random_batch
from analysis.benchmarks.machine import description
from analysis.benchmarks.timing import Times, interleaved
from hma_ft.config.schema import AugmentConfig, DatasetConfig, ImageCaching
from hma_ft.data.batch import Batch
from hma_ft.data.datasets.base import FileDataset
from hma_ft.data.image_cache import cached
from hma_ft.data.loading import train_loader
from hma_ft.data.transforms import TrainTransform

PER_SAMPLE = "memory projected for each sample"
# What a method is compared with, and how much it may add. The momentum encoder's forward pass has no target.
BASES: dict[str, tuple[str, float | None]] = {
    "hma": ("full", None),
    "hma without momentum encoder": ("full", 0.02),
    "hma_head": ("head", 0.05),
}


def methods(sizes: Sizes, compiling: Sequence[bool]) -> list[Finding]:
    """Steps a second and peak memory of every method, and the share of HMA; `compiling`: with torch.compile or not."""
    findings = []
    for model in sizes.models:
        for compiled in compiling:
            seconds: dict[str, float] = {}
            for name in METHODS:
                for per_sample in (False, True) if name in BASES else (False,):
                    label = f"{name}, {PER_SAMPLE}" if per_sample else name
                    what = f"{model}, {label}, bf16, batch {sizes.batch}{', compiled' if compiled else ''}"
                    times, peak, failure = _measured(model, name, sizes, compiled, per_sample)
                    if times is None:
                        findings.append(Finding(what, "", failure))
                        continue
                    seconds[label] = times.median / sizes.steps
                    figure = f"{1 / seconds[label]:.2f} steps/s, peak memory {peak / 2**20:,.0f} MiB"
                    findings.append(Finding(what, "", figure))
            findings += _shares(model, seconds, compiled)
    return findings


def _measured(model: str, method: str, sizes: Sizes, compiled: bool, per_sample: bool) -> tuple[Times | None, int, str]:
    """Times of `sizes.steps` steps, bytes at the peak, and why there are none."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        setup = Setup(model, method, sizes, compile=compiled, per_sample=per_sample)
        data = random_batch(sizes, setup.device)
        times = interleaved({"": partial(_several, setup, data, sizes.steps)}, repeats=sizes.repeats, warm_up=2)[""]
    except torch.OutOfMemoryError:
        return None, 0, "does not fit into the memory of the GPU"
    return times, torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0, ""


def _several(setup: Setup, data: tuple[Tensor, Tensor, Tensor], steps: int) -> None:
    for _ in range(steps):
        setup.step(*data)


def _shares(model: str, seconds: dict[str, float], compiled: bool) -> list[Finding]:
    """What HMA adds to a step."""
    findings = []
    for name, (base, limit) in BASES.items():
        if name not in seconds or base not in seconds:
            continue
        what = f"{model}{', compiled' if compiled else ''}, {name}"
        added = seconds[name] / seconds[base] - 1
        findings.append(
            Finding(
                what,
                f"{base}, {1000 * seconds[base]:.1f} ms a step",
                f"{added:+.1%}",
                "" if limit is None else f"at most {limit:.0%}",
                None if limit is None else added <= limit,
            )
        )
        slow = seconds.get(f"{name}, {PER_SAMPLE}")
        if slow is not None:
            findings.append(Finding(what, PER_SAMPLE, f"{slow / seconds[name]:.2f} x faster"))
    return findings


def keeps_up(sizes: Sizes, shared: Path | None, workers: int) -> list[Finding]:
    """Images a second with the loader beside those with a batch that stays on the device."""
    if shared is None:
        return [skipped("input beside the step")]
    paths = sorted((shared / "data/dtd/dtd/images").rglob("*.jpg"))
    files = FileDataset(paths, [0] * len(paths), ["all"], paths[0].parents[1])
    findings = []
    for model in sizes.input_models:
        setup = Setup(model, "full", sizes, compile=torch.cuda.is_available(), per_sample=False)
        data = random_batch(sizes, setup.device)
        resident = _images_per_second(partial(_several, setup, data, 1), sizes)
        for name in (ImageCaching.none, ImageCaching.ram):
            samples = cached({"train": files}, DatasetConfig(cache=name))["train"]
            transform = TrainTransform(
                AugmentConfig(image_size=sizes.side), interpolation=setup.method.backbone.interpolation, fill=(0, 0, 0)
            )
            epochs = 2 * (len(files) // sizes.batch)  # with a cache the first ones fill it
            total = epochs + 2 + sizes.repeats * sizes.steps
            stream = train_loader(
                samples, transform, batch_size=sizes.batch, seed=0, start_step=0, num_steps=total, num_workers=workers
            )
            for _ in range(epochs if name is ImageCaching.ram and sizes is FULL else 0):
                next(stream)
            speed = _images_per_second(partial(_from_loader, setup, stream), sizes)
            findings.append(
                Finding(
                    f"{model}, full, from JPEGs, dataset.cache={name.value}, {workers} workers: {speed:.0f} images/s",
                    f"the same step on a batch on the device: {resident:.0f} images/s",
                    f"{speed / resident:.0%}",
                    "90% or more",
                    speed / resident >= 0.9,
                )
            )
    return findings


def _from_loader(setup: Setup, stream: Iterator[Batch]) -> None:
    batch = next(stream).to(setup.device)
    setup.step(batch.images, batch.labels, batch.ids)


def _images_per_second(step: Callable[[], None], sizes: Sizes) -> float:
    """Over all steps, after two that don't count."""
    for _ in range(2):
        step()
    steps = sizes.repeats * sizes.steps
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return steps * sizes.batch / (time.perf_counter() - started)


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script out")
    parser.add_argument("--workers", type=int, default=min(8, len(os.sched_getaffinity(0))), help="loader processes")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--out", type=Path, help="also write the page here")
    chosen = parser.parse_args(arguments)
    found: Options = options(["--quick"] if chosen.quick else [])
    sizes = QUICK if chosen.quick or not torch.cuda.is_available() else FULL
    findings = methods(sizes, [False] if chosen.no_compile else [False, True]) + keeps_up(
        sizes, found.shared, chosen.workers
    )
    page = f"# Speed on a GPU\n\n{description()}\n\n{table(findings)}\n"
    print(page)
    if chosen.out is not None:
        chosen.out.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
