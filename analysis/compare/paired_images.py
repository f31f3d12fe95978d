"""Every group against the baseline, over test images."""

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.images import NO_TEST, ImageTest, image_test, recognised
from analysis.compare.metric import METRICS, probability
from analysis.compare.paired import common_seeds
from analysis.compare.statistics import holm
from analysis.compare.table import Column, Row, Table

_TOP1 = METRICS["top1"]


def images_table(comparison: Comparison) -> tuple[Table, list[str]]:
    """One row a group and data set whose predictions are there; and where they are missing."""
    rows, missing = [], []
    for cell, base in comparison.challenges:
        seeds = common_seeds(cell, base)
        found = _image_test(comparison, cell, base, seeds)
        if found is not NO_TEST:
            rows.append(_row(cell, base, seeds, found))
        elif seeds:
            missing.append(f"{cell.group} on {cell.dataset}")
    for row, adjusted in zip(rows, holm([row["p_mcnemar"] for row in rows]), strict=True):
        row["p_mcnemar_holm"] = adjusted
    percent = f"{100 * comparison.level:g} %"
    columns = [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("images", lambda row: str(row["images"])),
        Column("seeds", lambda row: str(len(row["seeds"]))),
        Column("difference, points", lambda row: _TOP1.text(row["difference"], sign=True)),
        Column(f"{percent} (bootstrap)", lambda row: _TOP1.interval(row["low"], row["high"], sign=True)),
        Column("more seeds right", lambda row: str(row["better"])),
        Column("fewer", lambda row: str(row["worse"])),
        Column("p (McNemar)", lambda row: probability(row["p_mcnemar"])),
        Column("Holm", lambda row: probability(row["p_mcnemar_holm"])),
    ]
    note = (
        "Resampled and counted are test images: what these trained models do on further images, not what further seeds "
        "do. McNemar's exact test counts images that the group recognises in more, or in fewer, seeds than the "
        f"baseline. Holm: corrected for the {len(rows)} rows of the table."
    )
    title = f"Against {comparison.baseline}: test images, top-1"
    notes = [f"no test over images, as predictions are missing or of other images: {'; '.join(missing)}"]
    return Table("images", title, columns, rows, note), notes if missing else []


def _image_test(comparison: Comparison, cell: Cell, base: Cell, seeds: list[str]) -> ImageTest:
    """Over the common seeds; NO_TEST where predictions are missing or are of different images."""
    group = recognised([run for run in cell.runs if run.seed in seeds], comparison.mode)
    other = recognised([run for run in base.runs if run.seed in seeds], comparison.mode)
    if group is None or other is None or not np.array_equal(group[0], other[0]):
        return NO_TEST
    return image_test(group[1], other[1], level=comparison.level)


def _row(cell: Cell, base: Cell, seeds: list[str], found: ImageTest) -> Row:
    return {
        "dataset": cell.dataset,
        "group": cell.group,
        "baseline": base.group,
        "images": found.images,
        "seeds": seeds,
        "difference": found.difference,
        "low": found.bootstrap.low,
        "high": found.bootstrap.high,
        "better": found.better,
        "worse": found.worse,
        "p_mcnemar": found.p,
    }
