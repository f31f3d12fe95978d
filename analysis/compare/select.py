"""Which of the runs are compared, and what the names of settings are."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from analysis.compare.records.frame import Records, column, setting
from analysis.compare.records.run import Sweep
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

    sweeps: Sequence[str] = ()
    datasets: Sequence[str] = ()
    methods: Sequence[str] = ()
    where: Sequence[str] = field(default=())  # KEY=VALUE or KEY=VALUE,VALUE


def select(records: Records, selection: Selection) -> tuple[pd.DataFrame, list[str]]:
    """The runs that fit, a row each, and what is to be said about their number. UserError if nothing fits."""
    parts, notes = [], list[str]()
    for name in selection.sweeps or (None,):
        part, said = _of_records(records) if name is None else _of_sweep(records, find_sweep(records, name))
        parts.append(part)
        notes += said
    runs = pd.concat(parts).drop_duplicates("fingerprint")
    conditions = [("dataset.name", list(selection.datasets)), ("method.name", list(selection.methods))]
    conditions += [_condition(text, records.frame) for text in selection.where]
    for key, values in conditions:
        if values:
            there = setting(runs, key)
            runs = runs[[any(same_text(text, value) for value in values) for text in there]]
            if not len(runs):
                listed = ", ".join(sorted(set(there), key=natural)) or "none"
                raise UserError(f"no run with {key}={','.join(values)}: the values are {listed}")
    if not len(runs):
        raise UserError(f"sweep {', '.join(selection.sweeps)} has no finished run in {records.source}")
    return runs.sort_values(["dataset.name", "name"], kind="stable", ignore_index=True), notes


def _of_records(records: Records) -> tuple[pd.DataFrame, list[str]]:
    """Every finished run."""
    runs, notes = _once(records.frame)
    if records.unfinished:
        notes.append(f"{len(records.unfinished)} runs are left out because they are not finished")
    return runs, notes


def _of_sweep(records: Records, sweep: Sweep) -> tuple[pd.DataFrame, list[str]]:
    """The finished trials."""
    runs, notes = _once(records.frame[records.frame["archive"] == sweep.archive])
    runs = runs[runs["fingerprint"].str.startswith(tuple(sweep.keys))]
    if len(runs) < sweep.trials:
        missing = sweep.trials - len(runs)
        notes.append(f"sweep {sweep.identity}: {missing} of {sweep.trials} trials are not finished")
    return runs, notes


def _once(offered: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    runs = offered.drop_duplicates("fingerprint")
    twice = len(offered) - len(runs)
    return runs, [f"{twice} runs are there more than once: the first of each counts"] if twice else []


def find_sweep(records: Records, name: str) -> Sweep:
    """The latest sweep of that name or identity."""
    for sweep in records.sweeps:
        if name in (sweep.name, sweep.identity):
            return sweep
    known = ", ".join(dict.fromkeys(sweep.name for sweep in records.sweeps)) or "none"
    raise UserError(f"no sweep {name} in {records.source}: there are {known}")


def _condition(text: str, runs: pd.DataFrame) -> tuple[str, list[str]]:
    key, sign, values = text.partition("=")
    if not sign or not values:
        raise UserError(f"--where {text} is no condition: write KEY=VALUE, such as optimizer.lr=0.01")
    return resolve_key(key, runs), values.split(",") if not values.startswith("[") else [values]


def resolve_key(key: str, runs: pd.DataFrame) -> str:
    """The full name of a setting. UserError if no run has it."""
    full, _ = current_setting(ALIASES.get(key, key), None)
    if column(runs, full).notna().any():
        return full
    known = sorted({name for run in runs["run"] for name in run.params})
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    near = near or [name for name in known if name.endswith(f".{key}")]
    hint = f": did you mean {', '.join(near)}?" if near else ": `python run.py --cfg job` shows all"
    raise UserError(f"no run has a setting {key}{hint}")


def same_text(one: str, other: str) -> bool:
    """Whether two written values are the same: 1e-2 is 0.01."""
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


def naturally(values: pd.Series) -> pd.Series:
    """Places of texts in their natural order, as a key of `sort_values`."""
    return values.map({value: place for place, value in enumerate(sorted(set(values), key=natural))})
