"""A profile of training steps in the run directory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile

TRACE, TABLE = "trace.json.gz", "profile.txt"
ROWS = 25  # operators in the table

Step = TypeVar("Step")


def profiled(steps: Iterable[Step], directory: Path, *, first: int, count: int) -> Iterator[Step]:
    """Yield the steps; record `count` of them from number `first` (0: the next) on, input included.

    Writes to `directory` the files `trace.json.gz`, in Chrome's trace format, and `profile.txt`, operators by own time.
    """
    remaining = iter(steps)
    for _ in range(first):
        yield next(remaining)
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as recorded:
        for _ in range(count):
            yield next(remaining)
    recorded.export_chrome_trace(str(directory / TRACE))
    order = "self_cuda_time_total" if len(activities) > 1 else "self_cpu_time_total"
    (directory / TABLE).write_text(recorded.key_averages().table(sort_by=order, row_limit=ROWS))
    print(f"profile of {count} steps: {directory / TRACE} and {TABLE}", flush=True)
    yield from remaining
