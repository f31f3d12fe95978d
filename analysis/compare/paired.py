"""Every group against the baseline: differences by seed, tests over seeds and over images, Holm's correction."""

import math

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.images import NO_TEST, ImageTest, image_test, recognised
from analysis.compare.metric import METRICS, plain, probability
from analysis.compare.statistics import POWER, SEEDS_UP_TO, holm, least_p, paired, seeds_needed
from analysis.compare.table import Column, Row, Table

_P_VALUES = ("p_t", "p_sign_flip", "p_mcnemar")
_SHARE = METRICS["top1"]


def paired_table(comparison: Comparison) -> Table:
    """One row a group and data set; no rows without a baseline."""
    rows = [_row(comparison, cell, base) for cell, base in comparison.challenges]
    for name in _P_VALUES:
        for row, adjusted in zip(rows, holm([row[name] for row in rows]), strict=True):
            row[f"{name}_holm"] = adjusted
    least = holm([least_p(row["pairs"]) if row["pairs"] else math.nan for row in rows])
    for row, p in zip(rows, least, strict=True):
        row["least_p_holm"] = p
        row["can_decide"] = bool(p <= comparison.alpha + 1e-12)
        alpha = comparison.alpha / len(rows)
        row["seeds_needed"] = seeds_needed(row["difference"], row["sd"], alpha=alpha)
        row["verdict"] = _verdict(comparison, row)
    return Table(
        "paired",
        f"Against {comparison.baseline}: difference in test {comparison.metric.title}",
        _columns(comparison),
        rows,
        "Differences and p (t), p (signs) are over seeds; b:c counts test images that the group : the baseline "
        "recognises in more seeds, p (McNemar) and the last interval are over these images (top-1). "
        f"Holm: corrected for the {len(rows)} rows of the table. least p: what the sign-flip test can give at best "
        f"with this number of seeds. Seeds needed: for {POWER:.0%} power, if difference and spread are as seen.",
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
        Column("least p", lambda row: probability(row["least_p"])),
        Column("b:c", lambda row: f"{row['better']}:{row['worse']}" if row["images"] else ""),
        Column("p (McNemar)", lambda row: probability(row["p_mcnemar"])),
        Column("Holm", lambda row: probability(row["p_mcnemar_holm"])),
        Column(f"{percent} (images)", lambda row: _SHARE.interval(row["images_low"], row["images_high"], sign=True)),
        Column("over seeds", lambda row: row["verdict"], right=False),
        Column("seeds needed", _needed),
    ]


def _row(comparison: Comparison, cell: Cell, base: Cell) -> Row:
    seeds = [seed for seed in cell.seeds if seed in base.seeds]
    mine = dict(zip(cell.seeds, comparison.scores(cell), strict=True))
    other = dict(zip(base.seeds, comparison.scores(base), strict=True))
    values = {seed: mine[seed] - other[seed] for seed in seeds}
    finite = {seed: value for seed, value in values.items() if math.isfinite(value)}
    found = paired(list(finite.values()), level=comparison.level)
    images = _image_test(comparison, cell, base, seeds)
    return {
        "dataset": cell.dataset,
        "group": cell.group,
        "baseline": base.group,
        "pairs": found.n,
        "differences": finite,  # by seed
        "difference": found.mean,
        "sd": found.sd,
        "t_low": found.t.low,
        "t_high": found.t.high,
        "p_t": found.p_t,
        "p_sign_flip": found.p_sign_flip,
        "least_p": found.least_p,
        "images": images.images,
        "better": images.better,
        "worse": images.worse,
        "p_mcnemar": images.p,
        "images_difference": images.difference,
        "images_low": images.bootstrap.low,
        "images_high": images.bootstrap.high,
    }


def _image_test(comparison: Comparison, cell: Cell, base: Cell, seeds: list[str]) -> ImageTest:
    """Over the common seeds; NO_TEST where predictions are missing or are of different images."""
    group = recognised([run for run in cell.runs if run.seed in seeds], comparison.mode)
    other = recognised([run for run in base.runs if run.seed in seeds], comparison.mode)
    if group is None or other is None or not np.array_equal(group[0], other[0]):
        return NO_TEST
    return image_test(group[1], other[1], level=comparison.level)


def _verdict(comparison: Comparison, row: Row) -> str:
    """In words, by the sign-flip test after Holm."""
    if not row["pairs"]:
        return "no common seed"
    if not row["can_decide"]:
        return "can't decide"
    if row["p_sign_flip_holm"] <= comparison.alpha + 1e-12:
        higher = row["difference"] > 0
        return "better" if higher == comparison.metric.higher_is_better else "worse"
    return "no difference shown"


def _needed(row: Row) -> str:
    if row["pairs"] < 2 or row["verdict"] in ("better", "worse"):
        return ""
    return plain(row["seeds_needed"]) if row["seeds_needed"] else f">{SEEDS_UP_TO:,}"


def paired_statements(comparison: Comparison, table: Table) -> list[str]:
    """What the tests can't say, in sentences."""
    found = []
    weak = [row for row in table.rows if row["pairs"] and not row["can_decide"]]
    for n in sorted({row["pairs"] for row in weak}):
        rows = [row for row in weak if row["pairs"] == n]
        adjusted = max(row["least_p_holm"] for row in rows)
        found.append(
            f"{_seeds(n)} can't decide: the least p of the sign-flip test is {least_p(n):.3g} "
            f"({adjusted:.3g} after Holm over {len(table.rows)} comparisons), above {comparison.alpha:.3g}; "
            f"it takes {_fewest(comparison, len(table.rows))} seeds at the least"
        )
    missing = [f"{row['group']} on {row['dataset']}" for row in table.rows if row["pairs"] and not row["images"]]
    if missing:
        found.append(f"no test over images, as predictions are missing or of other images: {'; '.join(missing)}")
    single = comparison.groups if comparison.baseline is not None and not table.rows else []
    return [*found, f"there is nothing beside the baseline {comparison.baseline}"] if single else found


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _fewest(comparison: Comparison, comparisons: int) -> int:
    """Seeds with which the sign-flip test can pass Holm's first step."""
    return math.ceil(math.log2(2 * comparisons / comparison.alpha) - 1e-9)
