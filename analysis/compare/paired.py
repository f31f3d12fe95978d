"""Every group against the baseline: differences by seed and what they show."""

import math

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.metric import plain, probability
from analysis.compare.statistics import POWER, SEEDS_UP_TO, holm, least_p, paired, seeds_needed
from analysis.compare.table import Column, Row, Table


def paired_table(comparison: Comparison) -> Table:
    """One row a group and data set; no rows without a baseline."""
    rows = [_row(comparison, cell, base) for cell, base in comparison.challenges]
    for name in ("p_t", "p_sign_flip"):
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
        "Differences are by seed. The verdict is that of the sign-flip test, p (signs), after Holm's correction for "
        f"the {len(rows)} rows of the table. least p: what this test can give at best "
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
        Column("verdict", lambda row: row["verdict"], right=False),
        Column("seeds needed", _needed),
        Column("p (t)", lambda row: probability(row["p_t"])),
        Column("Holm", lambda row: probability(row["p_t_holm"])),
        Column("p (signs)", lambda row: probability(row["p_sign_flip"])),
        Column("Holm", lambda row: probability(row["p_sign_flip_holm"])),
        Column("least p", lambda row: probability(row["least_p"])),
    ]


def _row(comparison: Comparison, cell: Cell, base: Cell) -> Row:
    seeds = common_seeds(cell, base)
    mine = dict(zip(cell.seeds, comparison.scores(cell), strict=True))
    other = dict(zip(base.seeds, comparison.scores(base), strict=True))
    values = {seed: mine[seed] - other[seed] for seed in seeds}
    finite = {seed: value for seed, value in values.items() if math.isfinite(value)}
    found = paired(list(finite.values()), level=comparison.level)
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
    }


def common_seeds(cell: Cell, base: Cell) -> list[str]:
    """Seeds that both have."""
    return [seed for seed in cell.seeds if seed in base.seeds]


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
    single = comparison.groups if comparison.baseline is not None and not table.rows else []
    return [*found, f"there is nothing beside the baseline {comparison.baseline}"] if single else found


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _fewest(comparison: Comparison, comparisons: int) -> int:
    """Seeds with which the sign-flip test can pass Holm's first step."""
    return math.ceil(math.log2(2 * comparisons / comparison.alpha) - 1e-9)
