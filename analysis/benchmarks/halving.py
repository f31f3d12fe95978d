"""What successive halving saves of a sweep's choosing stage, and whether it chooses as the full grid does.

python -m analysis.benchmarks.halving [--quick]

Five cases on the digits and five on DTD: a method with a grid of five learning rates and two tuning seeds, chosen once
by whole trials of 1000 steps and once by `sweep.tune.halving=true`, on frozen features of a pretrained DeiT-Tiny. A
case holds if both choose the same rate; beside it stands what the other choice costs, the mean val top-1 of whole
trials at either rate. No part of `make bench`, as it runs some 250 trials.
"""

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from analysis.benchmarks.measurement import Measurement, Options, main, skipped
from analysis.benchmarks.run_py import run_py

RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
CASES = (("head", 100), ("head", 102), ("head_knn", 100), ("head_knn", 102), ("mlp_head", 100))  # and the first seed
GOAL_SHARE, GOAL_SAME = 0.4, 0.9


@dataclass(frozen=True)
class Chosen:
    """What a choosing stage came to."""

    rate: str
    steps: int  # of all its trials
    val: dict[str, float]  # mean top-1 of whole trials, by rate


def measure(options: Options) -> list[Measurement]:
    """Chooses each case both ways."""
    data = {"digits": ["model=vit_micro", "dataset=digits", "augment=digits"]}
    if options.shared is not None and not options.quick:
        weights = ["model=deit_tiny", f"model.weights={options.shared / 'data/weights/deit_tiny_patch16_224.pth'}"]
        data["digits"] = [*weights, "dataset=digits", "augment=digits", "augment.image_size=64"]
        data["DTD"] = [*weights, "dataset=dtd", f"dataset.root={options.shared / 'data'}", "augment.image_size=112"]
    cases = [(name, method, seed) for name in data for method, seed in CASES[: options.size(len(CASES), 1)]]
    rows: list[Measurement] = []
    same, shares, losses = 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, method, seed in cases:
            arguments = [*data[name], *_arguments(method, seed, options)]
            whole, halved = (_choose(arguments, Path(folder), halving=halving) for halving in (False, True))
            same += whole.rate == halved.rate
            shares.append(halved.steps / whole.steps)
            losses.append(100 * (whole.val[whole.rate] - whole.val[halved.rate]))
            value = f"{halved.rate}, {halved.steps:,} steps; val {losses[-1]:.2f} points lower"
            rows.append(
                Measurement(
                    f"{name}, {method}, seeds {seed} and {seed + 1}: halving chooses",
                    f"all trials whole: {whole.rate}, {whole.steps:,} steps",
                    value,
                )
            )
            print(rows[-1], file=sys.stderr, flush=True)
    if "DTD" not in data:
        rows.append(skipped("halving on DTD"))
    return [*rows, *_summary(same, shares, losses)]


def _summary(same: int, shares: Sequence[float], losses: Sequence[float]) -> list[Measurement]:
    return [
        Measurement(
            "cases in which halving chooses the same rate",
            "all trials whole",
            f"{same} of {len(shares)}",
            "9 of 10",
            same >= GOAL_SAME * len(shares),
        ),
        Measurement(
            "val top-1 of whole trials at the rate that halving chooses",
            "at the rate that they choose themselves",
            f"{sum(losses) / len(losses):.2f} points lower, {max(losses):.2f} at the most",
        ),
        Measurement(
            "steps that halving takes, most of the cases",
            "all trials whole",
            f"{max(shares):.0%}",
            f"at most {GOAL_SHARE:.0%}",
            max(shares) <= GOAL_SHARE,
        ),
    ]


def _arguments(method: str, seed: int, options: Options) -> list[str]:
    rates = ",".join(map(str, RATES))
    return [
        *(f"method={method}", f"sweep.tune.seeds=[{seed},{seed + 1}]", "sweep.tune.extend=0", "sweep.seeds=[0]"),
        *("tracking=off", "trainer.device=cpu", "trainer.num_workers=0", "trainer.batch_size=32"),
        *("augment.views=10", f"trainer.max_steps={options.size(1000, 9)}"),
        f"+sweep.tune.grids={{{method}:{{optimizer.lr:[{rates}]}}}}",
    ]


def _choose(arguments: Sequence[str], folder: Path, *, halving: bool) -> Chosen:
    """Runs the sweep; what val chose, and the steps of the trials of its tuning seeds."""
    name = "halved" if halving else "whole"
    before = set(folder.glob(f"runs/sweeps/{name}-*"))
    run_py(["-m", *arguments, f"sweep.name={name}", f"sweep.tune.halving={str(halving).lower()}"], folder)
    (sweep,) = set(folder.glob(f"runs/sweeps/{name}-*")) - before
    (choice,) = json.loads((sweep / "stages" / "state.json").read_text())["choices"].values()
    trials = [trial for trial in json.loads((sweep / "sweep.json").read_text())["trials"] if trial["seed"] != 0]
    steps, val = [], defaultdict(list)
    for directory in (Path(trial["directory"]) for trial in trials):
        steps.append(json.loads((directory / "status.json").read_text())["max_steps"])
        rate = OmegaConf.load(directory / "config.yaml").optimizer.lr
        val[f"optimizer.lr={rate}"].append(json.loads((directory / "result.json").read_text())["val/top1"])
    means = {rate: sum(found) / len(found) for rate, found in val.items()}
    return Chosen(choice.removeprefix("val chose ").split()[0], sum(steps), means)


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
