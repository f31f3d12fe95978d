"""Tables about all data sets together, about what differs between the runs, and about the runs themselves."""

import math
from functools import partial

from analysis.compare.aggregate import aggregate
from analysis.compare.comparison import Comparison
from analysis.compare.consistency import Difference, code_of, differences
from analysis.compare.summary import tuned_of
from analysis.compare.table import Column, Row, Table

_WIDEST = 40  # characters of a list of values


def aggregate_table(comparison: Comparison) -> tuple[Table, list[str]]:
    """Mean rank and interquartile mean of the groups that all data sets have; no rows for one data set."""
    metric, percent = comparison.metric, f"{100 * comparison.level:g} %"
    groups, left_out = [], []
    for group in comparison.groups:
        cells = [comparison.cell(dataset, group) for dataset in comparison.datasets]
        scores = [[s for s in comparison.scores(cell) if math.isfinite(s)] if cell else [] for cell in cells]
        if all(scores):
            groups.append((group, scores))
        else:
            left_out.append(group)
    several = len(comparison.datasets) > 1
    found = (
        aggregate([scores for _, scores in groups], higher_is_better=metric.higher_is_better, level=comparison.level)
        if several and groups
        else []
    )
    rows: list[Row] = []
    for (group, scores), figures in zip(groups, found, strict=False):
        row: Row = {"group": group, "datasets": len(scores), "runs": sum(map(len, scores)), "rank": figures.rank}
        row |= {"rank_low": figures.rank_interval.low, "rank_high": figures.rank_interval.high}
        row |= {"iqm": figures.iqm, "iqm_low": figures.iqm_interval.low, "iqm_high": figures.iqm_interval.high}
        rows.append(row)
    columns = [
        Column("group", lambda row: row["group"], right=False),
        Column("data sets", lambda row: str(row["datasets"])),
        Column("runs", lambda row: str(row["runs"])),
        Column("mean rank", lambda row: f"{row['rank']:.2f}"),
        Column(percent, lambda row: f"{row['rank_low']:.2f} to {row['rank_high']:.2f}"),
        Column(f"IQM {metric.unit}", lambda row: metric.text(row["iqm"])),
        Column(percent, lambda row: metric.interval(row["iqm_low"], row["iqm_high"])),
    ]
    note = (
        "Rank 1 is best. IQM: mean of the middle half of all runs. Intervals: bootstrap over runs within each data set "
        "(Agarwal et al., NeurIPS 2021), test images held fixed."
    )
    notes = [f"over all data sets without {', '.join(left_out)}, which some lack"] if several and left_out else []
    return Table("aggregate", f"Over {len(comparison.datasets)} data sets", columns, rows, note), notes


def differences_table(comparison: Comparison) -> Table:
    """Settings that differ between the runs, by group."""
    found = differences(comparison.cells)
    columns = [Column("setting", lambda row: row["setting"], right=False)]
    columns += [Column(group, partial(_values_of, group), right=False) for group in comparison.groups]
    rows: list[Row] = [_difference_row(comparison, difference) for difference in found]
    note = "Seeds, places and what else can't change a result are left out."
    return Table("differences", "What differs between the runs", columns, rows, note)


def _difference_row(comparison: Comparison, difference: Difference) -> Row:
    declared = "group" if difference.key in comparison.by else "tuned" if difference.key in comparison.tuned else ""
    return {"setting": difference.key, "values": difference.values, "declared": declared}


def _values_of(group: str, row: Row) -> str:
    text = ", ".join(row["values"].get(group, []))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def runs_table(comparison: Comparison) -> Table:
    """Every run that was read, and whether its figures count."""
    metric = comparison.metric
    columns = [
        Column("run", lambda row: row["run"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("seed", lambda row: row["seed"]),
        Column(f"val {metric.unit}", lambda row: metric.text(row["val"])),
        # test figures of settings that val did not choose are not shown
        Column(f"test {metric.unit}", lambda row: metric.text(row["test"])),
        Column("best step", lambda row: "" if math.isnan(row["best_step"]) else f"{row['best_step']:.0f}"),
        Column("commit", lambda row: row["commit"], right=False),
    ]
    rows: list[Row] = []
    for cell in comparison.cells:
        for index, point in enumerate(cell.grid):
            chosen = index == cell.chosen
            for run in point.runs:
                row: Row = {"run": run.name, "place": run.place, "fingerprint": run.fingerprint, "seed": run.seed}
                row |= {"dataset": cell.dataset, "group": cell.group, "chosen": chosen}
                row |= {"setting": dict(zip(tuned_of(comparison), point.values, strict=True))}
                row["val"] = run.score("val", metric.key, comparison.mode)
                row["test"] = run.score("test", metric.key, comparison.mode) if chosen else math.nan
                rows.append(row | {"best_step": run.figure("best/step"), "commit": code_of(run)})
    return Table("runs", "The runs", columns, rows)
