"""Tables about all data sets together, and about what differs between the runs."""

from functools import partial

import numpy as np

from analysis.compare.comparability import differences
from analysis.compare.comparison import Comparison
from analysis.compare.statistics.over_datasets import aggregate, critical_difference, iqm_of_differences
from analysis.compare.tables.paired_seeds import seed_differences
from analysis.compare.tables.table import Column, Table, frame, words

_WIDEST = 40  # characters of a list of values


def aggregate_table(comparison: Comparison) -> tuple[Table, list[str]]:
    """Mean rank and interquartile mean of the groups that all data sets have; no rows for one data set."""
    metric, datasets = comparison.metric, comparison.datasets
    scores, left_out = {}, []
    for label in comparison.labels:
        groups = [comparison.group(dataset, label) for dataset in datasets]
        values = [comparison.scores(group) if group else np.empty(0) for group in groups]
        values = [found[np.isfinite(found)] for found in values]
        if all(map(len, values)):
            scores[label] = values
        else:
            left_out.append(label)
    several = len(datasets) > 1
    found = aggregate(list(scores.values()), metric.higher_is_better, comparison.level) if several and scores else []
    rows = [
        {"group": label, "datasets": len(datasets), "runs": sum(map(len, values)), **statistics._asdict()}
        | _difference(comparison, label)
        for (label, values), statistics in zip(scores.items(), found, strict=False)
    ]
    columns = [
        words("group", "group"),
        Column("data sets", "datasets"),
        Column("runs", "runs"),
        Column("mean rank", "rank", "{:.2f}".format),
        Column(comparison.percent, ("rank_low", "rank_high"), "{:.2f} to {:.2f}".format),
        Column(f"IQM {metric.unit}", "iqm", metric.text),
        Column(comparison.percent, ("iqm_low", "iqm_high"), metric.interval),
    ]
    if any("difference" in row for row in rows):
        columns += [
            Column(f"IQM of differences to {comparison.baseline}", "difference", metric.signed),
            Column(comparison.percent, ("difference_low", "difference_high"), metric.signed_interval),
        ]
    note = (
        "Rank 1 is best. IQM: mean of the middle half of all runs. Intervals: bootstrap over runs within each data set "
        "(Agarwal et al., NeurIPS 2021), test images held fixed."
    )
    if len(rows) > 1:
        needed = critical_difference(len(rows), len(datasets), comparison.level)
        note += (
            f" For other data sets (Nemenyi's test of all pairs; Demsar, JMLR 2006) mean ranks must differ by "
            f"{needed:.2f}."
        )
    notes = [f"over all data sets without {', '.join(left_out)}, which some lack"] if several and left_out else []
    return Table("aggregate", f"Over {len(datasets)} data sets", columns, frame(rows), note), notes


def _difference(comparison: Comparison, label: str) -> dict[str, float]:
    """IQM of a group's differences to the baseline, by data set and seed; nothing for the baseline or without one."""
    found = []
    for dataset in comparison.datasets:
        group, base = comparison.group(dataset, label), comparison.group(dataset, comparison.baseline)
        if group is None or base is None or group is base:
            return {}
        found.append(seed_differences(comparison, group, base).to_numpy())
    if not all(map(len, found)):
        return {}
    middle, low, high = iqm_of_differences(found, comparison.level)
    return {"difference": middle, "difference_low": low, "difference_high": high}


def differences_table(comparison: Comparison) -> Table:
    """Settings that differ between the runs, by group."""
    declared = dict.fromkeys(comparison.tuned, "tuned") | dict.fromkeys(comparison.by, "group")
    rows = [
        {"setting": key, "values": values, "declared": declared.get(key, "")}
        for key, values in differences(comparison.groups).items()
    ]
    columns = [words("setting", "setting")]
    columns += [words(label, "values", partial(_values_of, label)) for label in comparison.labels]
    note = "Seeds, places and what else can't change a result are left out."
    return Table("differences", "What differs between the runs", columns, frame(rows), note)


def _values_of(label: str, values: dict[str, list[str]]) -> str:
    text = ", ".join(values.get(label, []))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
