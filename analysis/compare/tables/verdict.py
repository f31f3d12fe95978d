"""The verdicts: every group against the baseline, for other seeds and other test images at once."""

import math
from typing import Any

import numpy as np
import pandas as pd

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.metric import plain, probability
from analysis.compare.statistics.clusters import by_group, totals
from analysis.compare.statistics.crossed import Components, Differences, at_least_0, crossed_test
from analysis.compare.statistics.image_differences import PER_IMAGE, paired_differences
from analysis.compare.statistics.needed import POWER, SEEDS_UP_TO, Needed, fewest, needed
from analysis.compare.statistics.over_seeds import holm, min_attainable_p, paired_test
from analysis.compare.statistics.pigeonhole import pigeonhole_interval
from analysis.compare.tables.image_groups import SENTENCE, groups_column, unit, without_groups
from analysis.compare.tables.paired_seeds import paired_runs, seed_differences
from analysis.compare.tables.table import PLACE, Column, Table, frame, raw_records, words

SEEDS_ONLY = "seeds only"
_NEEDS = ("seeds", "significant", "difference", "images", "seeds_needed", "images_needed", "both_needed")


def verdict_table(comparison: Comparison) -> Table:
    """One row a group and data set; no rows without a baseline."""
    rows = frame([_row(comparison, *pair) for pair in comparison.comparisons])
    if len(rows):
        for name in ("p", "min_attainable_p"):
            rows[f"{name}_holm"] = holm(rows[name])
        alpha = comparison.alpha / len(rows)
        rows = frame([_decided(row | _needs(row, alpha), comparison) for row in raw_records(rows)])
    metric, percent = comparison.metric, comparison.percent
    columns = [
        *PLACE,
        Column("seeds", "seeds"),
        Column("images", "images", lambda images: plain(images) if images else ""),
        groups_column(),
        Column(f"difference, {metric.difference_unit}", "difference", metric.signed),
        Column(percent, ("low", "high"), metric.signed_interval),
        Column(f"{percent} (pigeonhole)", ("pigeonhole_low", "pigeonhole_high"), metric.signed_interval),
        words("verdict", "verdict"),
        Column("p", "p", probability),
        Column("Holm", "p_holm", probability),
        Column("seeds needed", _NEEDS, lambda *row: _needed_text("seeds", *row)),
        Column("images needed", _NEEDS, lambda *row: _needed_text("images", *row)),
    ]
    title = f"Against {comparison.baseline}: difference in test {metric.title}"
    return Table("verdict", title, columns, rows, _note(rows))


def _row(comparison: Comparison, group: Group, base: Group) -> dict[str, Any]:
    place = {"dataset": group.dataset, "group": group.label, "baseline": base.label}
    found = paired_differences(paired_runs(group, base), comparison.metric, comparison.mode)
    if found is None:
        return place | _over_seeds(seed_differences(comparison, group, base), comparison.level)
    return place | _over_both(found, comparison.level)


def _over_both(differences: Differences, level: float) -> dict[str, Any]:
    """Seeds and test images may be others."""
    units, images = by_group(differences), len(np.unique(differences.images))
    kind = "images" if differences.groups is None else "groups of images"
    basis = f"seeds and {kind}" if units.shares_images else f"seeds, each with {kind} of its own"
    found = crossed_test(units, level=level)._replace(images_apart=int((np.abs(totals(differences)) > 1e-9).sum()))
    row: dict[str, Any] = {"basis": basis, "groups": 0 if differences.groups is None else found.images}
    bootstrap = pigeonhole_interval(units, level=level)
    row |= found._asdict() | {"pigeonhole_low": bootstrap.low, "pigeonhole_high": bootstrap.high}
    row |= {f"variance_{name}": value for name, value in row.pop("components")._asdict().items()} | {"p": row.pop("p")}
    fewer = min(found.seeds, found.images_apart) if found.images_apart else found.seeds
    return row | {"images": images, "min_attainable_p": min_attainable_p(fewer)}


def _over_seeds(differences: pd.Series, level: float) -> dict[str, Any]:
    """Seeds may be others, the test images are held fixed."""
    found = paired_test(differences.to_numpy(), level=level)
    n = found.pairs
    row = {"basis": SEEDS_ONLY, "groups": 0, "seeds": n, "images": 0, "images_per_seed": 0, "images_apart": 0}
    row |= {"difference": found.difference, "se": found.sd / math.sqrt(n) if n else math.nan, "df": n - 1}
    row |= {"low": found.t_low, "high": found.t_high, "pigeonhole_low": math.nan, "pigeonhole_high": math.nan}
    row |= {"variance_seed": found.sd**2, "variance_image": math.nan, "variance_rest": math.nan}
    return row | {"p": found.p_sign_flip if n > 1 else math.nan, "min_attainable_p": found.min_attainable_p}


def _needs(row: dict[str, Any], alpha: float) -> dict[str, Any]:
    """What a verdict takes at `alpha`: at the least, and for the power."""
    least, images, apart = fewest(alpha), row["images_per_seed"], row["images_apart"]
    least_images = math.ceil(images * least / apart) if apart else 0
    found = Needed()
    if row["seeds"] > 1 and row["difference"] != 0.0:
        variances = [row[f"variance_{name}"] if images else 0.0 for name in ("image", "rest")]
        components = Components(at_least_0(row["variance_seed"]), *variances)
        found = needed(row["difference"], components, seeds=row["seeds"], images=images or 1, alpha=alpha)
        found = found if images else Needed(found.seeds_needed)
    if found.seeds_needed is not None:
        found = found._replace(seeds_needed=max(found.seeds_needed, least))
    if found.images_needed is not None:
        found = found._replace(images_needed=max(found.images_needed, least_images))
    return {"least_seeds": least, "least_images": least_images, **found._asdict()}


def _decided(row: dict[str, Any], comparison: Comparison) -> dict[str, Any]:
    """The row with its verdict after Holm. Level 1 - alpha has a rounding error; nan is no p."""
    can_decide, small = (bool(row[name] <= comparison.alpha + 1e-12) for name in ("min_attainable_p_holm", "p_holm"))
    higher = row["difference"] > 0
    only = f" ({SEEDS_ONLY})" if row["basis"] == SEEDS_ONLY else ""
    if not row["seeds"]:
        verdict = "no common seed"
    elif not can_decide and row["seeds"] < row["least_seeds"]:
        verdict = f"underpowered (needs {row['least_seeds']} seeds){only}"
    elif not can_decide:
        verdict = f"underpowered (needs {row['least_images']:,} {unit(row)})"
    elif small:
        verdict = ("better" if higher == comparison.metric.higher_is_better else "worse") + only
    else:
        verdict = f"not significant{only}"
    return row | {"can_decide": can_decide, "significant": can_decide and small, "verdict": verdict}


def _needed_text(
    of: str,
    seeds: int,
    significant: bool,
    difference: float,
    images: int,
    seeds_needed: int | None,
    images_needed: int | None,
    both_needed: dict[str, int] | None,
) -> str:
    """A cell of the table, `of` seeds or images; empty where a verdict is there."""
    if seeds < 2 or significant or difference == 0.0 or (of == "images" and not images):
        return ""
    own, other = (seeds_needed, images_needed) if of == "seeds" else (images_needed, seeds_needed)
    if own is not None:
        return plain(own)
    if not images:
        return f">{SEEDS_UP_TO:,}"
    if other is not None:
        return "more images" if of == "seeds" else "more seeds"
    if both_needed is not None:
        return f"{both_needed[of]:,} (both)"
    return f">{SEEDS_UP_TO:,} (both)" if of == "seeds" else "(both)"


def _note(rows: pd.DataFrame) -> str:
    only = rows["basis"] == SEEDS_ONLY if len(rows) else pd.Series(dtype=bool)
    over_both = (
        "Interval, p and verdict hold for other seeds and other test images at once (crossed random effects, "
        "Satterthwaite's degrees of freedom); beside them Owen's pigeonhole bootstrap. "
    )
    over_seeds = (
        f"Where the verdict says `{SEEDS_ONLY}`, it is that of the sign-flip test with the test images held fixed. "
    )
    grouped = f"{SENTENCE} Images needed are then groups. " if len(rows) and rows["groups"].any() else ""
    return (
        f"{over_both if not only.all() else ''}{grouped}{over_seeds if only.any() else ''}The verdict is taken after "
        f"Holm's correction for the {len(rows)} rows of the table. Seeds needed: on these test images; images needed: "
        "with this number of seeds; (both): together, as neither alone is enough. They are for "
        f"{POWER:.0%} power, if difference and variances are as seen."
    )


def verdict_notes(comparison: Comparison, table: Table) -> list[str]:
    """What the verdicts can't say, in sentences."""
    rows, metric = table.records, comparison.metric
    weak = [row for row in rows if row["seeds"] and not row["can_decide"]]
    few = [row for row in weak if row["seeds"] < row["least_seeds"]]
    found = []
    for n in sorted({row["seeds"] for row in few}):
        adjusted = max(row["min_attainable_p_holm"] for row in few if row["seeds"] == n)
        found.append(
            f"{n} {'seed is' if n == 1 else 'seeds are'} too few for a verdict: that all agree in sign happens by "
            f"chance with p {min_attainable_p(n):.3g} ({adjusted:.3g} after Holm over {len(rows)} comparisons), above "
            f"{comparison.alpha:.3g}; it takes {few[0]['least_seeds']} seeds at the least"
        )
    found += [
        f"{row['group']} and {row['baseline']} differ on {row['images_apart']} of "
        f"{row['groups'] or row['images']:,} {unit(row)} of {row['dataset']}: too few for a verdict"
        for row in weak
        if row not in few
    ]
    fixed = [f"{row['group']} on {row['dataset']}" for row in rows if row["basis"] == SEEDS_ONLY and row["seeds"]]
    if fixed and metric.key in PER_IMAGE:
        reason = "as predictions are missing, have no probabilities or are of other images"
        found.append(f"verdicts over seeds only, {reason}: {'; '.join(fixed)}")
    elif fixed:
        found.append(f"{metric.title} is no mean over images: its verdicts are over seeds only")
    found += without_groups(comparison, rows)
    if comparison.baseline is not None and not rows:
        found.append(f"there is nothing beside the baseline {comparison.baseline}")
    return found
