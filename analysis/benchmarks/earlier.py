"""This version beside an earlier one: a full fine-tuning run, and a step that has little to compute.

python -m analysis.benchmarks.earlier [--quick]

Needs the repository's history: the earlier version is checked out beside it. Both run in turn with the packages of
this environment, on one thread; counted are processor seconds, which other programs on the machine lengthen least.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from analysis.benchmarks.measurement import REPOSITORY, Measurement, Options, main, skipped
from analysis.benchmarks.timing import Times, ratio

EARLIER = "7390135"  # 2026-11-26: it wrote a checkpoint at every evaluation and evaluated splits mode by mode
TOGETHER = ["tracking=off", "trainer.device=cpu"]
SHORT_STEP = ["model=vit_micro", "dataset=digits", "augment=none", "method=head", "trainer.batch_size=8"]


def measure(options: Options) -> list[Measurement]:
    """What a step costs beside its arithmetic, and a whole run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkout = ["git", "clone", "--quiet", "--shared", str(REPOSITORY), str(folder / "earlier")]
        subprocess.run(checkout, check=True)
        subprocess.run(["git", "checkout", "--quiet", EARLIER], cwd=folder / "earlier", check=True)
        versions = {"now": REPOSITORY, "earlier": folder / "earlier"}
        return [_short_steps(options, versions, folder), _fine_tuning(options, versions, folder)]


def _fine_tuning(options: Options, versions: dict[str, Path], folder: Path) -> Measurement:
    """A run that trains the backbone and evaluates four times."""
    what = "full fine-tuning on DTD, DeiT-Tiny at 112 pixels, 100 steps of 32, an evaluation every 25"
    if options.quick:
        run = ["model=vit_micro", "dataset=digits", "augment=none", "trainer.max_steps=4", "trainer.eval_every=1"]
    elif options.shared is None:
        return skipped(what)
    else:
        weights = options.shared / "data/weights/deit_tiny_patch16_224.pth"
        run = ["model=deit_tiny", f"model.weights={weights}", "dataset=dtd", f"dataset.root={options.shared / 'data'}"]
        run += ["augment.image_size=112", "trainer.batch_size=32", "trainer.max_steps=100", "trainer.eval_every=25"]
    seconds: dict[str, list[float]] = {name: [] for name in versions}
    top1: dict[str, float] = {}
    for number in range(options.size(2, 1)):
        for name, version in versions.items():
            runs = folder / f"full_{name}_{number}"
            seconds[name].append(_processor_seconds(version, [*run, "method=full", f"runs_dir={runs}"], folder))
            top1[name] = _only_result(runs)["test/top1"]
    return _row(
        f"{what}, test top-1 of both {_both(top1)}", {name: Times(tuple(own)) for name, own in seconds.items()}, 1 / 1.5
    )


def _short_steps(options: Options, versions: dict[str, Path], folder: Path) -> Measurement:
    """The difference between runs of many steps and of few, on features that are stored: what a step costs."""
    few, many = (10, 20) if options.quick else (200, 2200)
    costs: dict[str, list[float]] = {name: [] for name in versions}
    for number in range(options.size(4, 2)):  # the first computes the features of each step
        for name, version in versions.items():
            spent = []
            for steps in (few, many):
                run = [
                    *SHORT_STEP,
                    f"trainer.max_steps={steps}",
                    f"trainer.eval_every={steps}",
                    f"trainer.log_every={few}",
                ]
                run += [
                    f"optimizer.lr={0.01 * (number + 1)}",
                    f"runs_dir={folder / f'short_{name}'}",
                    "scheduler=constant",
                ]
                spent.append(_processor_seconds(version, run, folder))
            costs[name].append((spent[1] - spent[0]) / (many - few))
    times = {name: Times(tuple(own[1:])) for name, own in costs.items()}
    return _row("a step of a linear head on 8 stored features", times, 0.5)


def _row(what: str, times: dict[str, Times], target: float) -> Measurement:
    """Processor time of this version as a share of the earlier one's, at most `target`."""
    middle, text = ratio(times["now"], times["earlier"])
    return Measurement(
        f"{what}: {times['now']} of processor time",
        f"commit {EARLIER}: {times['earlier']}",
        f"{text} the time",
        f"at most {target:.2f} x",
        0 < middle <= target,  # a difference below the noise may be negative
    )


def _both(top1: dict[str, float]) -> str:
    """One figure where the versions agree, else both."""
    return " and ".join(f"{value:.4f}" for value in dict.fromkeys(top1.values()))


def _processor_seconds(version: Path, arguments: list[str], folder: Path) -> float:
    """Processor seconds of `run.py` and its workers."""
    before = _spent()
    command = [sys.executable, str(version / "run.py"), *TOGETHER, *arguments]
    own = os.environ | {"PYTHONPATH": str(version), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return _spent() - before


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _only_result(runs: Path) -> dict[str, Any]:
    (path,) = runs.glob("**/result.json")
    return json.loads(path.read_text())


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
