"""Which of the runs are compared, and what the names of settings are."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from analysis.compare.records import Records, RunData, SweepData
from hma_ft.config.aliases import current_setting
from hma_ft.errors import UserError

# What a group of conf/ is called by: `method` means method.name.
_SHORT = ("method.name", "dataset.name", "model.short_name", "optimizer.name", "scheduler.name")
ALIASES = {key.split(".")[0]: key for key in _SHORT} | {
    "lr": "optimizer.lr",
    "model": "model.short_name",
    "method/peft": "method.peft.name",
}


@dataclass(frozen=True)
class Selection:
    """All conditions must hold; empty ones are none."""

    sweep: str | None = None
    datasets: Sequence[str] = ()
    methods: Sequence[str] = ()
    where: Sequence[str] = field(default=())  # KEY=VALUE or KEY=VALUE,VALUE


def select(records: Records, selection: Selection) -> tuple[list[RunData], list[str]]:
    """The runs that fit, and what is to be said about their number. UserError if nothing fits."""
    sweep = None if selection.sweep is None else find_sweep(records, selection.sweep)
    offered = [run for run in records.runs if sweep is None or run.archive == sweep.archive]
    first: dict[str, RunData] = {}
    for run in offered:
        first.setdefault(run.fingerprint, run)
    runs, notes = list(first.values()), []
    if len(runs) < len(offered):
        notes.append(f"{len(offered) - len(runs)} runs are there more than once: the first of each counts")
    if sweep is not None:
        runs = [run for run in runs if run.fingerprint.startswith(tuple(sweep.keys))]
        if len(runs) < sweep.trials:
            missing = sweep.trials - len(runs)
            notes.append(f"sweep {sweep.identity}: {missing} of {sweep.trials} trials are not finished")
    elif records.unfinished:
        notes.append(f"{len(records.unfinished)} runs are left out because they are not finished")
    conditions = [("dataset.name", list(selection.datasets)), ("method.name", list(selection.methods))]
    conditions += [_condition(text, records.runs) for text in selection.where]
    for key, values in conditions:
        if not values:
            continue
        there = sorted({run.params.get(key, "none") for run in runs}, key=natural)
        runs = [run for run in runs if any(same_text(run.params.get(key), value) for value in values)]
        if not runs:
            raise UserError(f"no run with {key}={','.join(values)}: the values are {', '.join(there) or 'none'}")
    if not runs:
        raise UserError(f"sweep {selection.sweep} has no finished run in {records.source}")
    return sorted(runs, key=lambda run: (run.dataset, run.name)), notes


def find_sweep(records: Records, name: str) -> SweepData:
    """The latest sweep of that name or identity."""
    for sweep in records.sweeps:
        if name in (sweep.name, sweep.identity):
            return sweep
    known = ", ".join(dict.fromkeys(sweep.name for sweep in records.sweeps)) or "none"
    raise UserError(f"no sweep {name} in {records.source}: there are {known}")


def _condition(text: str, runs: Iterable[RunData]) -> tuple[str, list[str]]:
    key, sign, values = text.partition("=")
    if not sign or not values:
        raise UserError(f"--where {text} is no condition: write KEY=VALUE, such as optimizer.lr=0.01")
    return resolve_key(key, runs), values.split(",") if not values.startswith("[") else [values]


def resolve_key(key: str, runs: Iterable[RunData]) -> str:
    """The full name of a setting. UserError if no run has it."""
    known = {name for run in runs for name in run.params}
    full, _ = current_setting(ALIASES.get(key, key), None)
    if full in known:
        return full
    near = difflib.get_close_matches(key, sorted(known), n=3, cutoff=0.5)
    near = near or [name for name in sorted(known) if name.endswith(f".{key}")]
    hint = f": did you mean {', '.join(near)}?" if near else ": `python run.py --cfg job` shows all"
    raise UserError(f"no run has a setting {key}{hint}")


def same_text(one: str | None, other: str | None) -> bool:
    """Whether two written values are the same: 1e-2 is 0.01."""
    if one is None or other is None:
        return one is other
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def natural(text: str) -> tuple[int, float, str]:
    """Sorts numbers by size, before words."""
    try:
        return 0, float(text), text
    except ValueError:
        return 1, 0.0, text
