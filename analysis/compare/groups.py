"""Groups of runs on each data set, and the setting of each group that val chose."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import pandas as pd
import yaml

from analysis.compare.records.frame import score, setting, takes_steps
from analysis.compare.select import natural, naturally
from hma_ft.errors import UserError

CHOSEN = "chosen/"  # before the name of what a method chose on val, in result.json


@dataclass(frozen=True)
class Group:
    """A group on one data set.

    `every_run` has columns beside those of the records: `group`, the label; `choice`, the tuned settings by key;
    `setting`, the same in words; `setting_val`, their mean val accuracy over the seeds that all settings have;
    `chosen`, whether val chose them. Rows are in the order of the settings, then of seeds.
    """

    dataset: str
    label: str
    every_run: pd.DataFrame

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs of the chosen setting, in the order of seeds."""
        return self.every_run[self.every_run["chosen"]]

    @property
    def grid(self) -> pd.DataFrame:
        """One run of each setting that was tried."""
        return self.every_run.drop_duplicates("setting")

    @property
    def seeds(self) -> list[str]:
        """Seeds of the chosen setting."""
        return list(self.runs["seed"])

    @property
    def takes_steps(self) -> bool:
        """Whether a learning rate means anything to it."""
        return bool(takes_steps(self.runs).any())

    def edge(self, keys: Sequence[str]) -> str | None:
        """Where the choice lies at the end of a tuned key's grid: the key and the end."""
        for key in keys:
            values = sorted(set(setting(self.every_run, key)), key=natural)
            chosen = setting(self.runs, key).iloc[0]
            if len(values) > 1 and chosen in (values[0], values[-1]):
                return f"{key}={chosen}, the {'least' if chosen == values[0] else 'largest'} of {len(values)} values"
        return None

    def own_edges(self) -> list[str]:
        """What the method itself chose on val at an end of its list, and in how many runs; 0 and 1 are natural ends."""
        found: Counter[str] = Counter()
        for name in (name for name in self.runs.columns if name.startswith(CHOSEN)):
            key = f"method.options.{name.removeprefix(CHOSEN)}"
            for chosen, text in zip(self.runs[name], setting(self.runs, key), strict=True):
                values = _numbers(text)
                ends = {"least": min(values), "largest": max(values)} if len(values) > 1 else {}
                for end, value in ends.items():
                    if np.isclose(chosen, value, rtol=1e-6, atol=0) and value not in (0, 1):
                        found[f"{key}={value:g}, the {end} of {len(values)} values"] += 1
        return [f"{where}, in {number} of {len(self.runs)} runs" for where, number in found.items()]


def _numbers(text: str) -> list[float]:
    """The numbers of a list that stands in a record as text; none where it is something else."""
    listed = yaml.safe_load(text)
    try:
        return [float(value) for value in listed] if isinstance(listed, list) else []
    except (TypeError, ValueError):
        return []


def make_groups(runs: pd.DataFrame, *, by: Sequence[str], tuned: Sequence[str], mode: str | None) -> list[Group]:
    """Groups by data set, then by the values of `by`. `tuned` keys are chosen by val top-1 in the inference mode."""
    keys = [key for key in by if key != "dataset.name"]
    tuned = [key for key in tuned if key not in keys]
    runs = runs.assign(**{key: setting(runs, key) for key in (*keys, *tuned)})
    ordered = runs.sort_values([*keys, *tuned, "seed"], key=naturally, kind="stable")
    ordered = ordered.sort_values("dataset.name", kind="stable")
    groups = []
    for values, own in ordered.groupby(["dataset.name", *keys], sort=False):
        dataset, *named = map(str, cast(tuple[str, ...], values))
        label = group_label(keys, named)
        groups.append(Group(dataset, label, _with_choice(own.assign(group=label), tuned, mode)))
    return groups


def _with_choice(runs: pd.DataFrame, tuned: Sequence[str], mode: str | None) -> pd.DataFrame:
    choices = [dict(zip(tuned, values, strict=True)) for values in runs[list(tuned)].to_numpy()]
    settings = [" ".join(f"{key}={value}" for key, value in choice.items()) for choice in choices]
    runs = runs.assign(choice=pd.Series(choices, runs.index), setting=settings)
    common = set.intersection(*(set(seeds) for _, seeds in runs.groupby("setting")["seed"]))
    counted = runs[runs["seed"].isin(common)] if common else runs
    val = {
        str(name): float(np.mean(values))
        for name, values in score(counted, "val", "top1", mode).groupby(counted["setting"], sort=False)
    }
    if len(val) > 1 and not any(map(np.isfinite, val.values())):
        raise UserError(
            f"{', '.join(tuned)}: there is no val top-1 to choose by, as these runs trained on val: "
            "give the setting by --where KEY=VALUE, or compare settings by --by KEY"
        )
    best = max(val, key=lambda name: val[name] if np.isfinite(val[name]) else -np.inf)
    return runs.assign(setting_val=runs["setting"].map(val), chosen=runs["setting"] == best)


def group_label(keys: Sequence[str], values: Sequence[str]) -> str:
    """`hma`, or `hma real.size=128`: names stand alone, other settings with the end of their key."""
    parts = []
    for key, value in zip(keys, values, strict=True):
        alone = key in ("method.name", "model.short_name", "model.name")
        parts.append(value if alone else f"{'.'.join(key.split('.')[-2:])}={value}")
    return " ".join(parts) or "all runs"


def find_group(groups: Sequence[Group], wanted: str) -> str:
    """The label of the group that `wanted` names in full, or by the start that no other group has. UserError else."""
    labels = list(dict.fromkeys(group.label for group in groups))
    if wanted in labels:
        return wanted
    found = [label for label in labels if label.startswith(f"{wanted} ")]
    if len(found) == 1:
        return found[0]
    problem = "fits several groups" if found else "is no group"
    raise UserError(f"--baseline {wanted} {problem}: choose one of {'; '.join(found or labels)}")
