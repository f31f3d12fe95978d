"""The verdicts: every group against the baseline, for other seeds and other test images at once."""

import math

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.crossed import Differences, crossed_test
from analysis.compare.groups import Cell
from analysis.compare.image_scores import PER_IMAGE, paired_differences
from analysis.compare.metric import plain, probability
from analysis.compare.needed import fewest, needed_text, with_needs
from analysis.compare.paired import paired_runs, seed_differences
from analysis.compare.pigeonhole import pigeonhole_interval
from analysis.compare.statistics import POWER, holm, min_attainable_p, paired
from analysis.compare.table import Column, Row, Table

SEEDS_ONLY = "seeds only"


def verdict_table(comparison: Comparison) -> Table:
    """One row a group and data set; no rows without a baseline."""
    rows = [_row(comparison, cell, base) for cell, base in comparison.comparisons]
    for name in ("p", "min_attainable_p"):
        for row, adjusted in zip(rows, holm([row[name] for row in rows]), strict=True):
            row[f"{name}_holm"] = adjusted
    rows = [with_needs(row, comparison.alpha / len(rows)) for row in rows]
    for row in rows:
        row["can_decide"] = _at_most(row["min_attainable_p_holm"], comparison.alpha)
        row["significant"] = row["can_decide"] and _at_most(row["p_holm"], comparison.alpha)
        row["verdict"] = _verdict(comparison, row)
    return Table(
        "verdict",
        f"Against {comparison.baseline}: difference in test {comparison.metric.title}",
        _columns(comparison),
        rows,
        _note(comparison, rows),
    )


def _note(comparison: Comparison, rows: list[Row]) -> str:
    over_both = (
        "Interval, p and verdict hold for other seeds and other test images at once (crossed random effects, "
        "Satterthwaite's degrees of freedom); beside them Owen's pigeonhole bootstrap."
    )
    over_seeds = (
        f"Where the verdict says `{SEEDS_ONLY}`, it is that of the sign-flip test with the test images held fixed."
    )
    parts = [over_both] if any(row["basis"] != SEEDS_ONLY for row in rows) else []
    parts += [over_seeds] if any(row["basis"] == SEEDS_ONLY for row in rows) else []
    return (
        f"{' '.join(parts)} The verdict is taken after Holm's correction for the {len(rows)} rows of the table. Seeds "
        "needed: on these test images; images needed: with this number of seeds; (both): together, as neither alone is "
        f"enough. They are for {POWER:.0%} power, if difference and variances are as seen."
    )


def _columns(comparison: Comparison) -> list[Column]:
    metric, percent = comparison.metric, f"{100 * comparison.level:g} %"
    unit = "points" if metric.share else metric.title
    return [
        Column("data set", lambda row: row["dataset"], right=False),
        Column("group", lambda row: row["group"], right=False),
        Column("seeds", lambda row: str(row["seeds"])),
        Column("images", lambda row: plain(row["images"]) if row["images"] else ""),
        Column(f"difference, {unit}", lambda row: metric.text(row["difference"], sign=True)),
        Column(percent, lambda row: metric.interval(row["low"], row["high"], sign=True)),
        Column(
            f"{percent} (pigeonhole)",
            lambda row: metric.interval(row["pigeonhole_low"], row["pigeonhole_high"], sign=True),
        ),
        Column("verdict", lambda row: row["verdict"], right=False),
        Column("p", lambda row: probability(row["p"])),
        Column("Holm", lambda row: probability(row["p_holm"])),
        Column("seeds needed", lambda row: needed_text(row, "seeds")),
        Column("images needed", lambda row: needed_text(row, "images")),
    ]


def _row(comparison: Comparison, cell: Cell, base: Cell) -> Row:
    row: Row = {"dataset": cell.dataset, "group": cell.group, "baseline": base.group}
    found = paired_differences(paired_runs(cell, base), comparison.metric, comparison.mode)
    if found is None:
        return row | _over_seeds(comparison, list(seed_differences(comparison, cell, base).values()))
    return row | _over_both(comparison, found)


def _over_both(comparison: Comparison, differences: Differences) -> Row:
    """Seeds and test images may be others."""
    found = crossed_test(differences, level=comparison.level)
    bootstrap = pigeonhole_interval(differences, level=comparison.level)
    apart = _images_apart(differences)
    units = min(found.seeds, apart) if apart else found.seeds
    return {
        "basis": "seeds and images" if differences.shares_images else "seeds, each with images of its own",
        "seeds": found.seeds,
        "images": found.images,
        "images_per_seed": round(len(differences.values) / found.seeds),
        "images_apart": apart,
        "difference": found.mean,
        "se": found.se,
        "df": found.df,
        "low": found.interval.low,
        "high": found.interval.high,
        "pigeonhole_low": bootstrap.low,
        "pigeonhole_high": bootstrap.high,
        "variance_seed": found.components.seed,
        "variance_image": found.components.image,
        "variance_rest": found.components.rest,
        "p": found.p,
        "min_attainable_p": min_attainable_p(units),
    }


def _over_seeds(comparison: Comparison, differences: list[float]) -> Row:
    """Seeds may be others, the test images are held fixed."""
    found = paired(differences, level=comparison.level)
    return {
        "basis": SEEDS_ONLY,
        "seeds": found.n,
        "images": 0,
        "images_per_seed": 0,
        "images_apart": 0,
        "difference": found.mean,
        "se": found.sd / math.sqrt(found.n) if found.n else math.nan,
        "df": found.n - 1,
        "low": found.t.low,
        "high": found.t.high,
        "pigeonhole_low": math.nan,
        "pigeonhole_high": math.nan,
        "variance_seed": found.sd**2,
        "variance_image": math.nan,
        "variance_rest": math.nan,
        "p": found.p_sign_flip if found.n > 1 else math.nan,
        "min_attainable_p": found.min_attainable_p,
    }


def _images_apart(differences: Differences) -> int:
    """Number of images on which the two differ over the seeds: the others say nothing of which is better."""
    sums = np.bincount(differences.images, weights=differences.values)
    return int((np.abs(sums) > 1e-9).sum())


def _at_most(p: float, alpha: float) -> bool:
    """Whether p is at most alpha, which 1 - level gives with a rounding error; not if p is nan."""
    return p <= alpha + 1e-12


def _verdict(comparison: Comparison, row: Row) -> str:
    """In words, after Holm."""
    if not row["seeds"]:
        return "no common seed"
    only = f" ({SEEDS_ONLY})" if row["basis"] == SEEDS_ONLY else ""
    if not row["can_decide"]:
        least = row["least_seeds"]
        if row["seeds"] < least:
            return f"underpowered (needs {least} seeds){only}"
        return f"underpowered (needs {row['least_images']:,} test images)"
    if row["significant"]:
        higher = row["difference"] > 0
        return ("better" if higher == comparison.metric.higher_is_better else "worse") + only
    return f"not significant{only}"


def verdict_statements(comparison: Comparison, table: Table) -> list[str]:
    """What the verdicts can't say, in sentences."""
    found = []
    weak = [row for row in table.rows if row["seeds"] and not row["can_decide"]]
    few = [row for row in weak if row["seeds"] < row["least_seeds"]]
    for n in sorted({row["seeds"] for row in few}):
        adjusted = max(row["min_attainable_p_holm"] for row in few if row["seeds"] == n)
        found.append(
            f"{n} {'seed is' if n == 1 else 'seeds are'} too few for a verdict: that all agree in sign happens by "
            f"chance with p {min_attainable_p(n):.3g} ({adjusted:.3g} after Holm over {len(table.rows)} "
            f"comparisons), above "
            f"{comparison.alpha:.3g}; it takes {fewest(comparison.alpha / len(table.rows))} seeds at the least"
        )
    found += [
        f"{row['group']} and {row['baseline']} differ on {row['images_apart']} of {row['images']:,} test images of "
        f"{row['dataset']}: too few for a verdict"
        for row in weak
        if row not in few
    ]
    fixed = [f"{row['group']} on {row['dataset']}" for row in table.rows if row["basis"] == SEEDS_ONLY and row["seeds"]]
    if fixed and comparison.metric.key in PER_IMAGE:
        found.append(
            f"verdicts over seeds only, as predictions are missing, have no probabilities or are of other images: "
            f"{'; '.join(fixed)}"
        )
    elif fixed:
        found.append(f"{comparison.metric.title} is no mean over images: its verdicts are over seeds only")
    single = comparison.groups if comparison.baseline is not None and not table.rows else []
    return [*found, f"there is nothing beside the baseline {comparison.baseline}"] if single else found
