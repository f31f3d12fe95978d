"""The headline of each group, the grid that val chose its setting from, and its runs one by one."""

import math

import pandas as pd

from analysis.compare.comparison import Comparison
from analysis.compare.folds import unpooled
from analysis.compare.groups import Group
from analysis.compare.metric import METRICS
from analysis.compare.records.frame import column, score, setting
from analysis.compare.statistics.over_seeds import summarize
from analysis.compare.tables.table import PLACE, Column, Table, frame, words
from hma_ft.config.check_dataset import FOLD


def summary_table(comparison: Comparison) -> Table:
    """Test metric at the choice of val."""
    metric, percent = comparison.metric, comparison.percent
    columns = [
        *PLACE,
        Column("seeds", "n"),
        Column(metric.unit, "mean", metric.text),
        Column("sd", "sd", metric.text),
        Column(f"{percent} (t)", ("t_low", "t_high"), metric.interval),
        Column(f"{percent} (bootstrap)", ("bootstrap_low", "bootstrap_high"), metric.interval),
        Column("val", "val_mean", metric.text),
        words("chosen", ("chosen", "grid_points", "at_edge"), _choice),
    ]
    rows = frame([_summary_row(comparison, group) for group in comparison.groups])
    mode = f", inference {comparison.mode}" if comparison.mode else ""
    note = "Mean, standard deviation and intervals over seeds; with few seeds the bootstrap interval is too narrow."
    return Table("summary", f"Test {metric.title}{mode}", columns, rows, note)


def _summary_row(comparison: Comparison, group: Group) -> dict[str, object]:
    values = comparison.scores(group)
    return {
        "dataset": group.dataset,
        "group": group.label,
        "seeds": group.seeds,
        **summarize(values, level=comparison.level)._asdict(),
        "val_mean": float(pd.Series(comparison.scores(group, split="val")).mean()),
        "chosen": group.runs["choice"].iloc[0] if group.takes_steps else {},
        "grid_points": len(group.grid),
        "at_edge": group.edge(comparison.chosen_keys) is not None and group.takes_steps,
        "values": values.tolist(),
    }


def _choice(chosen: dict[str, str], grid_points: int, at_edge: bool) -> str:
    values = [f"{key.split('.')[-1]} {value}" for key, value in chosen.items()]
    if grid_points > 1 and values:
        values.append(f"of {grid_points}{' (end of grid)' if at_edge else ''}")
    return " ".join(values)


def grid_table(comparison: Comparison) -> Table:
    """Val at every setting that was tried. Test metrics of settings that were not chosen are no one's business."""
    columns = [
        *PLACE,
        words("setting", "setting", lambda values: " ".join(f"{key}={value}" for key, value in values.items())),
        Column("seeds", "n"),
        Column("val top-1 %", "val_mean", METRICS["top1"].text),
        words("", "chosen", lambda chosen: "chosen" if chosen else ""),
    ]
    rows = [
        {
            "dataset": group.dataset,
            "group": group.label,
            "setting": runs["choice"].iloc[0],
            "n": len(runs),
            "val_mean": float(runs["setting_val"].iloc[0]),
            "chosen": bool(runs["chosen"].iloc[0]),
        }
        for group in comparison.groups
        if len(group.grid) > 1
        for _, runs in group.every_run.groupby("setting", sort=False)
    ]
    note = "Val top-1, mean over the common seeds."
    return Table("grid", "Settings that val chose from", columns, frame(rows), note)


def _step(step: float) -> str:
    return "" if math.isnan(step) else f"{step:.0f}"


def runs_table(comparison: Comparison) -> Table:
    """Every run that was read, and whether its numbers count."""
    metric, runs = comparison.metric, unpooled(pd.concat([group.every_run for group in comparison.groups]))
    columns = [
        words("run", "run"),
        words("group", "group"),
        Column("seed", "seed"),
        Column("fold", "fold"),
        Column(f"val {metric.unit}", "val", metric.text),
        # test metrics of settings that val did not choose are not shown
        Column(f"test {metric.unit}", "test", metric.text),
        Column("best step", "best_step", _step),
        words("commit", "commit"),
    ]
    rows = runs[["name", "place", "fingerprint", "seed", "dataset.name", "group", "chosen", "choice"]]
    rows = rows.rename(columns={"name": "run", "dataset.name": "dataset", "choice": "setting"}).assign(
        val=score(runs, "val", metric.key, comparison.mode),
        test=score(runs, "test", metric.key, comparison.mode).where(runs["chosen"]),
        fold=setting(runs, FOLD).replace("none", ""),
        best_step=column(runs, "best/step").astype(float),
        commit=runs["commit"],
    )
    return Table("runs", "The runs", columns, rows)
