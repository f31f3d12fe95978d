"""What each group took."""

import math

from analysis.compare.comparison import Comparison
from analysis.compare.folds import unpooled
from analysis.compare.groups import Group
from analysis.compare.metric import plain
from analysis.compare.records.frame import TIMED, column, cost
from analysis.compare.tables.table import PLACE, Column, Table, frame, words

COSTS = {
    "trainable": "params/trainable",
    "total": "params/total",
    "from_nothing_s": TIMED,
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


def cost_table(comparison: Comparison) -> Table:
    """Means over the seeds of each group, at the choice of val."""
    rows = frame([_row(group) for group in comparison.groups])
    timed = any(map(math.isfinite, rows["from_nothing_s"]))

    def seconds(value: float) -> str:
        return plain(value, 1) or ("-" if timed else "")  # a column without any number is left out

    columns = [
        *PLACE,
        Column("trainable", "trainable", plain),
        Column("all parameters", "total", plain),
        Column("from nothing s", "from_nothing_s", seconds),
        Column("features s", "features_s", seconds),
        Column("training s", "train_s", seconds),
        Column("evaluation s", "eval_s", seconds),
        Column("start s", "start_s", seconds),
        Column("images/s", "images_per_s", lambda value: plain(value) or ("-" if timed else "")),
        Column("peak MiB", "peak_bytes", lambda value: plain(value / 2**20)),
        words("device", "devices", ", ".join),
    ]
    note = f"Means over seeds. {_TIMES if timed else ''}{_before_costs(comparison)}{_PEAK}"
    return Table("cost", "Cost", columns, rows, note)


def _row(group: Group) -> dict[str, object]:
    costs = {name: cost(group.runs, key) for name, key in COSTS.items()}
    devices = sorted(set(unpooled(group.runs)["device"]))
    return {"dataset": group.dataset, "group": group.label, **costs, "devices": devices}


def _before_costs(comparison: Comparison) -> str:
    timed = [time for group in comparison.groups for time in column(group.runs, TIMED).notna()]
    if all(timed):
        return ""
    return (
        f"{timed.count(False)} of {len(timed)} runs were recorded before costs were apart: their times, which depend "
        "on which run filled the store of features, are left out. "
    )
