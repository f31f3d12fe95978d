"""Every group against the baseline, over test images."""

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.image_scores import paired_differences
from analysis.compare.images import ImageTest, image_test
from analysis.compare.metric import METRICS, probability
from analysis.compare.paired import common_seeds, paired_runs
from analysis.compare.statistics import holm
from analysis.compare.table import Column, Row, Table

_TOP1 = METRICS["top1"]


def images_table(comparison: Comparison) -> tuple[Table, list[str]]:
    """One row a group and data set whose predictions are there; and where they are missing."""
    rows, missing = [], []
    for cell, base in comparison.comparisons:
        seeds = common_seeds(cell, base)
        found = _image_test(comparison, cell, base)
        if found is not None:
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
    title = f"Against {comparison.baseline}: test images alone, top-1"
    notes = [f"no test over images, as predictions are missing or seeds have other test images: {'; '.join(missing)}"]
    return Table("images", title, columns, rows, note), notes if missing else []


def _image_test(comparison: Comparison, cell: Cell, base: Cell) -> ImageTest | None:
    """Over the common seeds; None where predictions are missing, or not all seeds were tested on the same images."""
    found = paired_differences(paired_runs(cell, base), _TOP1, comparison.mode)
    if found is None or (np.bincount(found.images) != found.seeds.max() + 1).any():
        return None
    return image_test(np.bincount(found.images, weights=found.values) / (found.seeds.max() + 1), level=comparison.level)


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
