"""`make soak`: kill real runs some hundred times; every run must end as the one that nobody touched, bit for bit.

All of them mix images and keep a moving average of the weights; workers change from one attempt to the next. Every
second run writes its checkpoints in a thread, as on a GPU.
"""

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tests import processes
from tests.faults.kills import PHASES, kill_and_continue, told
from tests.faults.real_runs import IN_BACKGROUND, RealRun, assert_same_outcome

METHODS = ("full", "hma", "hma_head", "head_knn", "lora", "hma_lora", "tokens_standard")


def _killed(folder: Path, method: str, seed: int, whole: "Future[RealRun]") -> Counter[str]:
    run = RealRun(folder, f"method={method}", program=IN_BACKGROUND if seed % 2 else processes.RUN_PY)
    killed = kill_and_continue(run, seed)
    assert_same_outcome(run, whole.result())
    shutil.rmtree(folder)
    print(f"{method}, seed {seed}: as if nothing had happened after {told(killed)}", flush=True)
    return killed


def _whole(folder: Path, method: str) -> RealRun:
    run = RealRun(folder, f"method={method}")
    run.finish("trainer.cache_features=false", "trainer.num_workers=0")
    return run


def soak(kills: int, folder: Path, at_once: int) -> Counter[str]:
    """Kill until there were so many kills. Returns the counts by phase; AssertionError where a run ends otherwise."""
    total: Counter[str] = Counter()
    seeds = itertools.count()
    with ThreadPoolExecutor(at_once) as pool:
        wholes = {method: pool.submit(_whole, folder / "whole" / method, method) for method in METHODS}
        while total.total() < kills:  # an attempt that ended before its moment was no kill
            rounds = -(-(kills - total.total()) // len(PHASES))
            runs = []
            for seed in itertools.islice(seeds, rounds):
                method = METHODS[seed % len(METHODS)]
                runs.append(pool.submit(_killed, folder / str(seed), method, seed, wholes[method]))
            total += sum((run.result() for run in runs), Counter[str]())
    return total


def main() -> int:
    """Print the counts; exit code 1 if a run did not end as it should."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            killed = soak(arguments.kills, Path(folder), arguments.at_once)
        except AssertionError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(f"{told(killed)}; every run ended bit for bit as its whole one; {(time.monotonic() - began) / 60:.0f} min")
    return 0


if __name__ == "__main__":
    sys.exit(main())
