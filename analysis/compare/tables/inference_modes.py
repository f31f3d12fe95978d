"""All inference modes beside each other."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.records.frame import has_mode, headlines
from analysis.compare.statistics.over_seeds import summarize
from analysis.compare.tables.table import PLACE, Column, Table, frame, words

MODES = ("alone", "batch", "support")


def modes_table(comparison: Comparison) -> Table:
    """The test metric by inference mode; no rows where every group has one mode only."""
    metric = comparison.metric
    own = {mode: [bool(has_mode(group.runs, mode).any()) for group in comparison.groups] for mode in MODES}
    modes = [mode for mode in MODES if any(own[mode])]
    columns = [*PLACE, Column("seeds", "n"), words("headline", "headline")]
    for mode in modes:
        columns.append(Column(f"{mode} {metric.unit}", mode, _of("mean", metric.text)))
        columns.append(Column("sd", mode, _of("sd", metric.text)))
    if "alone" in modes:
        columns += [
            Column(f"{mode} - alone", (mode, "alone"), lambda one, alone: metric.signed(one["mean"] - alone["mean"]))
            for mode in modes[1:]
        ]
    several = any(sum(found) > 1 for found in zip(*own.values(), strict=True))
    rows = [_row(comparison, group, modes) for group in comparison.groups] if several else []
    note = (
        "alone: a prediction depends on one image; batch: on the images of its test batch, as in the released code; "
        "support: on a fixed set of training images. The setting is the one that val chose in the mode of the "
        "headline table."
    )
    return Table("modes", f"Test {metric.title} by inference mode", columns, frame(rows), note)


def _of(name: str, text: Callable[[float], str]) -> Callable[[dict[str, float]], str]:
    return lambda stats: text(stats[name])


def _row(comparison: Comparison, group: Group, modes: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"dataset": group.dataset, "group": group.label, "n": len(group.runs)}
    found["headline"] = ", ".join(headlines(group.runs))
    for mode in modes:
        values = comparison.scores(group, mode=mode) if has_mode(group.runs, mode).any() else np.empty(0)
        stats = summarize(values, level=comparison.level)
        found[mode] = {"mean": stats.mean, "sd": stats.sd, "t_low": stats.t_low, "t_high": stats.t_high}
    return found
