"""Wall-clock times of alternatives, taken in turn so that a disturbance meets all of them."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Times:
    """Seconds of the repeats of one alternative."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Median, and the range of all repeats."""
        low, high = min(self.seconds), max(self.seconds)
        return f"{_short(self.median)} ({_short(low)} to {_short(high)}, n={len(self.seconds)})"


def interleaved(
    alternatives: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Call the alternatives in turn, `repeats` times each after `warm_up` calls that don't count.

    `clock` is time.process_time where the work is that of one thread: it doesn't count what other programs take.
    """
    for _ in range(warm_up):
        for call in alternatives.values():
            call()
    seconds: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(repeats):
        for name, call in alternatives.items():
            gc.collect()
            _wait_for_device()
            started = clock()
            call()
            _wait_for_device()
            seconds[name].append(clock() - started)
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def ratio(slow: Times, fast: Times) -> tuple[float, str]:
    """How many times as long `slow` takes: the median over the rounds, and that with its range."""
    ratios = [a / b for a, b in zip(slow.seconds, fast.seconds, strict=True)]
    middle = statistics.median(ratios)
    return middle, f"{middle:.2f} x ({min(ratios):.2f} to {max(ratios):.2f}, n={len(ratios)})"


def _wait_for_device() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
