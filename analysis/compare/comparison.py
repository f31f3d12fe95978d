"""What is compared with what: the groups of the table and how they are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.compare.comparability import one_line, problems, warnings
from analysis.compare.folds import pool_folds
from analysis.compare.groups import Group, find_group, make_groups
from analysis.compare.metric import METRICS, Metric
from analysis.compare.records.frame import has_mode, headlines, score
from analysis.compare.select import resolve_key
from hma_ft.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """Everything that tables and figures are made from."""

    source: str
    groups: list[Group]
    by: list[str]  # keys that group
    tuned: list[str]  # keys that val chooses; of those that group as well, each value is a group of its own
    metric: Metric
    mode: str | None  # inference mode; None: each run's headline
    baseline: str | None  # label of a group
    level: float = 0.95
    notes: list[str] = field(default_factory=list)  # warnings among them

    @property
    def alpha(self) -> float:
        """Level of the tests."""
        return 1.0 - self.level

    @property
    def percent(self) -> str:
        """Level of the intervals, for heads of columns."""
        return f"{100 * self.level:g} %"

    @property
    def chosen_keys(self) -> list[str]:
        """Keys that val chooses; those that group are not chosen."""
        return [key for key in self.tuned if key not in self.by]

    @property
    def datasets(self) -> list[str]:
        """In the order of the groups."""
        return list(dict.fromkeys(group.dataset for group in self.groups))

    @property
    def labels(self) -> list[str]:
        """Labels of the groups, in their order; colours and markers follow it."""
        return list(dict.fromkeys(group.label for group in self.groups))

    def of(self, dataset: str) -> list[Group]:
        """The groups on one data set."""
        return [group for group in self.groups if group.dataset == dataset]

    def group(self, dataset: str, label: str | None) -> Group | None:
        """One group, if it is there."""
        return next((group for group in self.of(dataset) if group.label == label), None)

    def scores(self, group: Group, *, split: str = "test", mode: str | None = None) -> np.ndarray:
        """The metric of a group's runs in the chosen mode, or in `mode` [runs]."""
        return score(group.runs, split, self.metric.key, mode or self.mode).to_numpy()

    @property
    def comparisons(self) -> list[tuple[Group, Group]]:
        """Every group beside the baseline, with the baseline on the same data set."""
        pairs = [(group, self.group(group.dataset, self.baseline)) for group in self.groups]
        return [(group, base) for group, base in pairs if base is not None and group is not base]


def compare(
    source: str,
    runs: pd.DataFrame,
    *,
    by: Sequence[str],
    tuned: Sequence[str],
    metric: str,
    mode: str | None,
    baseline: str | None,
    level: float,
    force: bool,
    notes: Sequence[str],
) -> Comparison:
    """Group the runs and look whether they may be compared. UserError where not, unless `force` is set."""
    by, tuned = [resolve_key(key, runs) for key in by], [resolve_key(key, runs) for key in tuned]
    runs, fold_notes = pool_folds(runs, by=by, tuned=tuned)
    if mode is not None and not has_mode(runs, mode).any():
        raise UserError(f"no run was evaluated with --inference {mode}: hma runs have alone, batch and support")
    groups = make_groups(runs, by=by, tuned=tuned, mode=mode)
    wrong = problems(groups, by=by, tuned=tuned)
    if wrong and not force:
        raise UserError(f"the runs can't be compared: {one_line(wrong)}; --force compares them all the same")
    notes = [*(f"NOT COMPARABLE (--force): {line}" for line in wrong), *notes, *fold_notes, *warnings(groups)]
    label = find_group(groups, baseline) if baseline is not None else None
    found = Comparison(source, groups, by, tuned, METRICS[metric], mode, label, level, notes)
    found.notes.extend([*_mode_notes(found), *_grid_notes(found)])
    return found


def _mode_notes(comparison: Comparison) -> list[str]:
    mode, groups = comparison.mode, comparison.groups
    if mode is None:
        found = headlines(pd.concat([group.every_run for group in groups]))
        return [f"the headline inference mode differs between runs ({', '.join(found)})"] if len(found) > 1 else []
    without = dict.fromkeys(group.label for group in groups if not has_mode(group.runs, mode).all())
    return [f"inference {mode}: {', '.join(without)} has one mode only, and gives that"] if without else []


def _grid_notes(comparison: Comparison) -> list[str]:
    """Where a grid was too narrow, be it the sweep's or a method's own."""
    edges = [(group, group.edge(comparison.chosen_keys)) for group in comparison.groups if group.takes_steps]
    found = [(group, edge) for group, edge in edges if edge is not None]
    found += [(group, edge) for group in comparison.groups for edge in group.own_edges()]
    return [f"{group.label} on {group.dataset}: val chose {edge}; the best may lie beyond" for group, edge in found]
