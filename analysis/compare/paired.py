"""Every group against the baseline over seeds, with the test images held fixed."""

import math

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.metric import probability
from analysis.compare.records import RunData
from analysis.compare.statistics import holm, paired
from analysis.compare.table import Column, Row, Table


def paired_table(comparison: Comparison) -> Table:
    """One row a group and data set; no rows without a baseline."""
    rows = [_row(comparison, cell, base) for cell, base in comparison.comparisons]
    for name in ("p_t", "p_sign_flip"):
        for row, adjusted in zip(rows, holm([row[name] for row in rows]), strict=True):
            row[f"{name}_holm"] = adjusted
    return Table(
        "paired",
        f"Against {comparison.baseline}: seeds alone, {comparison.metric.title}",
        _columns(comparison),
        rows,
        "Differences are by seed, on the same test images: what further seeds do on these images, not what they do on "
        "further images. p (signs) is the sign-flip test's, least p what it can give at best with this number of "
        f"seeds. Holm: corrected for the {len(rows)} rows of the table.",
    )


def _columns(comparison: Comparison) -> list[Column]:
    metric, percent = comparison.metric, f"{100 * comparison.level:g} %"
    unit = "points" if metric.share else metric.title
    return [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("pairs", lambda row: str(row["pairs"])),
        Column(f"difference, {unit}", lambda row: metric.text(row["difference"], sign=True)),
        Column(f"{percent} (t)", lambda row: metric.interval(row["t_low"], row["t_high"], sign=True)),
        Column("p (t)", lambda row: probability(row["p_t"])),
        Column("Holm", lambda row: probability(row["p_t_holm"])),
        Column("p (signs)", lambda row: probability(row["p_sign_flip"])),
        Column("Holm", lambda row: probability(row["p_sign_flip_holm"])),
        Column("least p", lambda row: probability(row["min_attainable_p"])),
    ]


def _row(comparison: Comparison, cell: Cell, base: Cell) -> Row:
    differences = seed_differences(comparison, cell, base)
    found = paired(list(differences.values()), level=comparison.level)
    return {
        "dataset": cell.dataset,
        "group": cell.group,
        "baseline": base.group,
        "pairs": found.n,
        "differences": differences,
        "difference": found.mean,
        "sd": found.sd,
        "t_low": found.t.low,
        "t_high": found.t.high,
        "p_t": found.p_t,
        "p_sign_flip": found.p_sign_flip,
        "min_attainable_p": found.min_attainable_p,
    }


def seed_differences(comparison: Comparison, cell: Cell, base: Cell) -> dict[str, float]:
    """Group minus baseline in the test metric, by common seed; without those where one is not finite."""
    mine = dict(zip(cell.seeds, comparison.scores(cell), strict=True))
    other = dict(zip(base.seeds, comparison.scores(base), strict=True))
    values = {seed: mine[seed] - other[seed] for seed in common_seeds(cell, base)}
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def paired_runs(cell: Cell, base: Cell) -> list[tuple[RunData, RunData]]:
    """The two runs of each common seed."""
    mine, other = ({run.seed: run for run in found.runs} for found in (cell, base))
    return [(mine[seed], other[seed]) for seed in common_seeds(cell, base)]


def common_seeds(cell: Cell, base: Cell) -> list[str]:
    """Seeds that both have."""
    return [seed for seed in cell.seeds if seed in base.seeds]
