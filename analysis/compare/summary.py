"""One row a group: figures over seeds, the setting that val chose, and what it cost."""

import math
from collections.abc import Sequence
from functools import partial

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.metric import Metric, plain
from analysis.compare.statistics import spread
from analysis.compare.table import Column, Row, Table

COSTS = {
    "trainable": "params/trainable",
    "total": "params/total",
    "from_nothing_s": "time/from_nothing_s",
    "features_s": "time/features_s",
    "train_s": "time/train_s",
    "eval_s": "time/eval_s",
    "start_s": "time/start_s",
    "wall_s": "time/wall_s",
    "images_per_s": "time/images_per_s",
    "peak_bytes": "memory/peak_bytes",
}
_TIMES = (
    "From nothing: features, training and evaluation together, whichever run filled the store of features. The start, "
    "which depends on how a run was launched, is apart. "
)
_PEAK = "Peak memory: of the GPU where there is one, else of the process."


def summary_table(comparison: Comparison) -> Table:
    """The headline: test figures at the choice of val."""
    metric, percent = comparison.metric, f"{100 * comparison.level:g} %"
    columns = [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("seeds", lambda row: str(row["n"])),
        Column(metric.unit, lambda row: metric.text(row["mean"])),
        Column("sd", lambda row: metric.text(row["sd"])),
        Column(f"{percent} (t)", lambda row: metric.interval(row["t_low"], row["t_high"])),
        Column(f"{percent} (bootstrap)", lambda row: metric.interval(row["bootstrap_low"], row["bootstrap_high"])),
        Column("val", lambda row: metric.text(row["val_mean"])),
        Column("chosen", _chosen, right=False),
    ]
    rows = [_summary_row(comparison, cell) for cell in comparison.cells]
    mode = f", inference {comparison.mode}" if comparison.mode else ""
    return Table(
        "summary",
        f"Test {metric.title}{mode}",
        columns,
        rows,
        "Mean, standard deviation and intervals over seeds; with few seeds the bootstrap interval is too narrow.",
    )


def _summary_row(comparison: Comparison, cell: Cell) -> Row:
    found = spread(comparison.scores(cell), level=comparison.level)
    row: Row = {"dataset": cell.dataset, "group": cell.group, "seeds": cell.seeds, "n": found.n, "mean": found.mean}
    row |= {"sd": found.sd, "t_low": found.t.low, "t_high": found.t.high}
    row |= {"bootstrap_low": found.bootstrap.low, "bootstrap_high": found.bootstrap.high}
    row["val_mean"] = mean_of(comparison.scores(cell, split="val"))
    row["chosen"] = chosen_of(comparison, cell)
    row["grid_points"] = len(cell.grid)
    row["at_edge"] = cell.edge(tuned_of(comparison)) is not None and any(run.requires_training for run in cell.runs)
    row["values"] = comparison.scores(cell)
    return row


def cost_table(comparison: Comparison) -> Table:
    """What each group took, at the choice of val."""
    rows = [_cost_row(cell) for cell in comparison.cells]
    timed = any(math.isfinite(row["from_nothing_s"]) for row in rows)
    missing = "-" if timed else ""  # a column without any figure is left out
    columns = [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("trainable", lambda row: plain(row["trainable"])),
        Column("all parameters", lambda row: plain(row["total"])),
        Column("from nothing s", lambda row: plain(row["from_nothing_s"], 1) or missing),
        Column("features s", lambda row: plain(row["features_s"], 1) or missing),
        Column("training s", lambda row: plain(row["train_s"], 1) or missing),
        Column("evaluation s", lambda row: plain(row["eval_s"], 1) or missing),
        Column("start s", lambda row: plain(row["start_s"], 1) or missing),
        Column("images/s", lambda row: plain(row["images_per_s"]) or missing),
        Column("peak MiB", lambda row: plain(row["peak_bytes"] / 2**20)),
        Column("device", lambda row: ", ".join(row["devices"]), right=False),
    ]
    note = f"Means over seeds. {_TIMES if timed else ''}{_before_costs(comparison)}{_PEAK}"
    return Table("cost", "Cost", columns, rows, note)


def _before_costs(comparison: Comparison) -> str:
    runs = [run for cell in comparison.cells for run in cell.runs]
    together = sum(not run.has_costs for run in runs)
    if not together:
        return ""
    return (
        f"{together} of {len(runs)} runs were recorded before costs were apart: their times, which depend on which run "
        "filled the store of features, are left out. "
    )


def _cost_row(cell: Cell) -> Row:
    """Means over the cell's runs; nan where one of them does not have the figure."""
    row: Row = {"dataset": cell.dataset, "group": cell.group}
    row |= {name: cost_of(cell, key) for name, key in COSTS.items()}
    return row | {"devices": sorted({str(run.env.get("device") or "unknown") for run in cell.runs})}


def cost_of(cell: Cell, key: str) -> float:
    """Mean over the cell's runs; nan where one of them does not have the figure, as means of some are of no use."""
    costs = [run.cost(key) for run in cell.runs]
    return sum(costs) / len(costs)


def chosen_of(comparison: Comparison, cell: Cell) -> dict[str, str]:
    """The tuned settings of the cell's runs; empty of a method that takes no steps."""
    if not any(run.requires_training for run in cell.runs):
        return {}
    return dict(zip(tuned_of(comparison), cell.grid[cell.chosen].values, strict=True))


def tuned_of(comparison: Comparison) -> list[str]:
    """Keys that val chooses; those that group are not chosen."""
    return [key for key in comparison.tuned if key not in comparison.by]


def _chosen(row: Row) -> str:
    values = [f"{key.split('.')[-1]} {value}" for key, value in row["chosen"].items()]
    if row["grid_points"] > 1 and values:
        values.append(f"of {row['grid_points']}{' (end of grid)' if row['at_edge'] else ''}")
    return " ".join(values)


def mean_of(values: Sequence[float]) -> float:
    """Mean of the finite values; nan if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan


def grid_table(comparison: Comparison) -> Table:
    """Val at every setting that was tried. Test figures of settings that were not chosen are no one's business."""
    val = Metric("top1", "top-1", True, True)
    columns = [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("setting", lambda row: " ".join(f"{k}={v}" for k, v in row["setting"].items()), right=False),
        Column("seeds", lambda row: str(row["n"])),
        Column("val top-1 %", lambda row: val.text(row["val_mean"])),
        Column("", lambda row: "chosen" if row["chosen"] else "", right=False),
    ]
    rows: list[Row] = []
    for cell in comparison.cells:
        for index, point in enumerate(cell.grid if len(cell.grid) > 1 else []):
            row: Row = {"dataset": cell.dataset, "group": cell.group}
            row["setting"] = dict(zip(tuned_of(comparison), point.values, strict=True))
            rows.append(row | {"n": len(point.runs), "val_mean": point.val, "chosen": index == cell.chosen})
    return Table("grid", "Settings that val chose from", columns, rows, "Val top-1, mean over the common seeds.")


def modes_table(comparison: Comparison) -> Table:
    """All inference modes beside each other, where there are several."""
    metric = comparison.metric
    modes = [mode for mode in ("alone", "batch", "support") if any(_has(cell, mode) for cell in comparison.cells)]
    columns = [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("seeds", lambda row: str(row["n"])),
        Column("headline", lambda row: row["headline"], right=False),
    ]
    for mode in modes:
        columns.append(Column(f"{mode} {metric.unit}", partial(_figure_of, metric, mode, "mean")))
        columns.append(Column("sd", partial(_figure_of, metric, mode, "sd")))
    against = [mode for mode in modes if mode != "alone"] if "alone" in modes else []
    columns += [Column(f"{mode} - alone", partial(_gain, metric, mode)) for mode in against]
    rows = [_modes_row(comparison, cell, modes) for cell in comparison.cells]
    several = any(sum(_has(cell, mode) for mode in modes) > 1 for cell in comparison.cells)
    return Table(
        "modes",
        f"Test {metric.title} by inference mode",
        columns,
        rows if several else [],
        "alone: a prediction depends on one image; batch: on the images of its test batch, as in the released code; "
        "support: on a fixed set of training images. The setting is the one that val chose in the mode of the "
        "headline table.",
    )


def _figure_of(metric: Metric, mode: str, name: str, row: Row) -> str:
    return metric.text(row[mode][name])


def _gain(metric: Metric, mode: str, row: Row) -> str:
    return metric.text(row[mode]["mean"] - row["alone"]["mean"], sign=True)


def _has(cell: Cell, mode: str) -> bool:
    return any(run.has_mode(mode) for run in cell.runs)


def _modes_row(comparison: Comparison, cell: Cell, modes: Sequence[str]) -> Row:
    headlines = sorted({str(run.result.get("inference", "alone")) for run in cell.runs})
    row: Row = {"dataset": cell.dataset, "group": cell.group, "n": len(cell.runs), "headline": ", ".join(headlines)}
    for mode in modes:
        found = spread(comparison.scores(cell, mode=mode) if _has(cell, mode) else [], level=comparison.level)
        row[mode] = {"mean": found.mean, "sd": found.sd, "t_low": found.t.low, "t_high": found.t.high}
    return row
