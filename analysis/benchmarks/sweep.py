"""A head-only sweep of 16 trials with stored features, beside runs that compute them; what evaluation takes of a run.

python -m analysis.benchmarks.sweep [--quick]

DeiT-Tiny frozen, DTD at 112 pixels, batch 128, an evaluation every 30 steps; the trials differ in learning rate, rows
of the real memory and slots. Two runs without stored features do part of the steps, and their training time is scaled
to all.
"""

import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from analysis.benchmarks.measurement import Measurement, Options, main, skipped
from analysis.benchmarks.run_py import run_py

LEARNING_RATES, ROWS, SLOTS = (0.003, 0.01), (128, 256, 512, 1024), (8, 16)
METRICS = "**/metrics.jsonl"
WARM_SHARE = 0.6  # of the time of a command, at most


@dataclass(frozen=True)
class Plan:
    """The size of the sweep."""

    trials: int
    steps: int
    uncached_steps: int  # of a run without stored features; the rest is scaled
    batch: int
    eval_every: int


def measure(options: Options) -> list[Measurement]:
    """Runs the uncached runs, a sweep, and a second sweep on the same views."""
    if options.shared is None and not options.quick:
        return [skipped("head-only sweep, evaluation")]
    plan = Plan(4, 4, 2, 8, 2) if options.quick else Plan(16, 100, 40, 128, 30)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = _arguments(options, plan)
        uncached = [_uncached_seconds(base, folder / f"uncached{lr}", plan, lr) for lr in LEARNING_RATES]
        steps = f"trainer.max_steps={plan.steps}"
        started = time.perf_counter()
        run_py(["-m", *base, *_axes(plan), "sweep.name=first", steps], folder / "sweep")
        whole = time.perf_counter() - started
        trials = _results(folder / "sweep")
        run_py(["-m", *base, "optimizer.lr=0.02,0.03", "sweep.name=second", steps], folder / "sweep")
        second = sorted(_results(folder / "sweep"), key=lambda result: result["finished"])[-2:]
        commands = [_command_seconds([*base, f"optimizer.lr={lr}", steps], folder / "sweep") for lr in (0.04, 0.05)]
        identical = all(_same_losses(folder / f"uncached{lr}", folder / "sweep", plan) for lr in LEARNING_RATES)
    return [
        *_sweep_measurements(plan, uncached, whole, trials),
        _warm_process(whole, trials, commands),
        Measurement(
            "from command to first step, in a second sweep on the same views",
            "",
            f"{max(r['time/first_step_s'] for r in second):.1f} s in the slower of 2 trials",
            "within 10 s",
            max(r["time/first_step_s"] for r in second) <= 10,
        ),
        Measurement(
            f"loss of each of {plan.uncached_steps} steps with stored features",
            "the same two trials without",
            "identical in every digit" if identical else "different",
            "identical",
            identical,
        ),
        _evaluation(trials),
    ]


def _sweep_measurements(
    plan: Plan, uncached: list[float], whole: float, trials: list[dict[str, Any]]
) -> list[Measurement]:
    """All trials, and the first four of them, against as many uncached runs."""
    one = sum(uncached) / len(uncached)
    producing, *reading = sorted((trial["time/wall_s"] for trial in trials), reverse=True)
    between = max(0.0, whole - producing - sum(reading)) / len(trials)  # the launcher's part
    four = producing + 3 * median(reading) + 4 * between
    spread = ", ".join(f"{seconds:.0f} s" for seconds in uncached)
    against = f"uncached runs: {one:.0f} s each (of two, {spread})"
    return [
        Measurement(
            f"head-only sweep, {len(trials)} trials of {plan.steps} steps of {plan.batch}, stored features: "
            f"{whole:.0f} s (first trial {producing:.0f} s, others {min(reading):.1f} to {max(reading):.1f} s)",
            f"{len(trials)} {against}",
            f"{len(trials) * one / whole:.1f} x faster",
            "8 x or more",
            len(trials) * one / whole >= 8,
        ),
        Measurement(
            f"the same, 4 trials: {four:.0f} s (first, and three of the median)",
            f"4 {against}",
            f"{4 * one / four:.1f} x faster",
            "3 x or more",
            4 * one / four >= 3,
        ),
    ]


def _warm_process(whole: float, trials: list[dict[str, Any]], commands: list[float]) -> Measurement:
    """A trial that begins where the sweep holds imports and features, against a command for each."""
    producing = max(trial["time/wall_s"] for trial in trials)
    one, alone = (whole - producing) / (len(trials) - 1), sum(commands) / len(commands)
    return Measurement(
        f"a trial of that sweep but the first: {one:.1f} s, the launcher's part included",
        f"a command of its own on the same stored features: {alone:.1f} s "
        f"(of two, {', '.join(f'{seconds:.1f} s' for seconds in commands)})",
        f"{one / alone:.0%} of the time",
        f"at most {WARM_SHARE:.0%}",
        one <= WARM_SHARE * alone,
    )


def _evaluation(results: list[dict[str, Any]]) -> Measurement:
    """Fraction of evaluation in what a run costs from nothing."""
    fractions = [result["time/eval_s"] / result["time/from_nothing_s"] for result in results]
    return Measurement(
        "evaluation, frozen backbone",
        "the cost of a run from nothing",
        f"{max(fractions):.1%} in the worst of {len(fractions)} trials",
        "at most 10%",
        max(fractions) <= 0.1,
    )


def _arguments(options: Options, plan: Plan) -> list[str]:
    """What all runs have in common. Quick ones read the digits, which come with a package."""
    if options.quick or options.shared is None:
        data = ["model=vit_micro", "dataset=digits", "augment=digits"]
    else:
        weights = options.shared / "data/weights/deit_tiny_patch16_224.pth"
        data = ["model=deit_tiny", f"model.weights={weights}", "dataset=dtd", f"dataset.root={options.shared / 'data'}"]
        data.append("augment.image_size=112")
    return [
        *data,
        "method=hma_head",
        "tracking=off",
        "trainer.device=cpu",
        "trainer.num_workers=0",
        "scheduler=constant",
        "scheduler.warmup_steps=1",
        f"trainer.batch_size={plan.batch}",
        f"trainer.eval_every={plan.eval_every}",
        "trainer.log_every=1",
    ]


def _axes(plan: Plan) -> list[str]:
    """The sweep's axes, with as many rows as give its number of trials."""
    rows = ROWS[: plan.trials // (len(LEARNING_RATES) * len(SLOTS))]
    return [
        f"optimizer.lr={','.join(map(str, LEARNING_RATES))}",
        f"method.hma.real.size={','.join(map(str, rows))}",
        f"method.hma.synthetic.slots={','.join(map(str, SLOTS))}",
    ]


def _uncached_seconds(base: list[str], folder: Path, plan: Plan, learning_rate: float) -> float:
    """Seconds of a run of all steps: measured with part of them, the training time scaled."""
    trial = [
        f"optimizer.lr={learning_rate}",
        f"method.hma.real.size={ROWS[0]}",
        f"method.hma.synthetic.slots={SLOTS[0]}",
        "trainer.cache_features=false",
        f"trainer.max_steps={plan.uncached_steps}",
    ]
    run_py([*base, *trial], folder)
    (result,) = _results(folder)
    seconds = result["time/features_s"] + result["time/train_s"]
    return result["time/wall_s"] + seconds * (plan.steps / plan.uncached_steps - 1)


def _command_seconds(arguments: list[str], folder: Path) -> float:
    """Seconds of a command, imports and all."""
    started = time.perf_counter()
    run_py(arguments, folder)
    return time.perf_counter() - started


def _results(folder: Path) -> list[dict[str, Any]]:
    """The results of all runs in a folder."""
    paths = folder.glob("**/result.json")
    return [json.loads(path.read_text()) | {"finished": path.stat().st_mtime} for path in paths]


def _same_losses(uncached: Path, sweep: Path, plan: Plan) -> bool:
    """Whether one trial of the sweep has exactly the losses of the uncached run; the schedule is constant."""
    (expected,) = (_losses(path) for path in uncached.glob(METRICS))
    return len(expected) == plan.uncached_steps and any(
        _losses(path)[: plan.uncached_steps] == expected for path in sweep.glob(METRICS)
    )


def _losses(metrics: Path) -> list[float]:
    """Loss of every step."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [row["train/loss"] for row in rows if "train/loss" in row]


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
