"""How many seeds and how many test images a verdict takes."""

import math

from analysis.compare.crossed import Components, both_needed, images_needed
from analysis.compare.crossed import seeds_needed as crossed_seeds_needed
from analysis.compare.metric import plain
from analysis.compare.statistics import SEEDS_UP_TO, seeds_needed
from analysis.compare.table import Row


def fewest(alpha: float) -> int:
    """Seeds, or images that tell two methods apart, that say something at `alpha`: 2 / 2^n reaches it.

    With fewer, agreement of all in sign is no evidence whatever the statistic, and the test over both would rest on a
    variance of a few values: its errors rise to 8 % at 3 seeds and to 12 % at 2, where 5 % are meant.
    """
    return math.ceil(math.log2(2 / alpha) - 1e-9)


def with_needs(row: Row, alpha: float) -> Row:
    """The row of a verdict with what a verdict takes at `alpha`, at the least and for the power.

    `seeds_needed` are on as many images, `images_needed` with as many seeds; None where there is no such number. Then
    `both_needed` has seeds and images that are enough together, in the proportion of today's.
    """
    least, per_seed, apart, mean = fewest(alpha), row["images_per_seed"], row["images_apart"], row["difference"]
    row = row | {"least_seeds": least, "least_images": math.ceil(per_seed * least / apart) if apart else 0}
    row |= {"seeds_needed": None, "images_needed": None, "both_needed": None}
    if row["seeds"] < 2 or mean == 0.0:
        return row
    if not per_seed:
        return row | {"seeds_needed": seeds_needed(mean, math.sqrt(row["variance_seed"]), alpha=alpha)}
    components = Components(row["variance_seed"], row["variance_image"], row["variance_rest"])
    seeds = crossed_seeds_needed(mean, components, images=per_seed, alpha=alpha)
    images = images_needed(mean, components, seeds=row["seeds"], alpha=alpha)
    row["seeds_needed"] = None if seeds is None else max(seeds, least)
    row["images_needed"] = None if images is None else max(images, row["least_images"])
    if seeds is None and images is None:
        row["both_needed"] = both_needed(mean, components, seeds=row["seeds"], images=per_seed, alpha=alpha)
    return row


def needed_text(row: Row, of: str) -> str:
    """A cell of the table, `of` seeds or images; empty where a verdict is there."""
    if row["seeds"] < 2 or row["significant"] or row["difference"] == 0.0 or (of == "images" and not row["images"]):
        return ""
    if row[f"{of}_needed"] is not None:
        return plain(row[f"{of}_needed"])
    if not row["images"]:
        return f">{SEEDS_UP_TO:,}"
    if row["seeds_needed"] is not None or row["images_needed"] is not None:
        return "more images" if of == "seeds" else "more seeds"
    if row["both_needed"] is not None:
        return f"{row['both_needed'][of]:,} (both)"
    return f">{SEEDS_UP_TO:,} (both)" if of == "seeds" else "(both)"
