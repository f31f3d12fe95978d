"""How many seeds and how many test images a verdict takes."""

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis.compare.statistics.crossed import Components, Design, standard_error

POWER = 0.8
SEEDS_UP_TO = 1000
IMAGES_UP_TO = 1_000_000


class Needed(NamedTuple):
    """Seeds on as many images, images with as many seeds; both together, in the proportion of today's, where neither.

    None where there is no such number.
    """

    seeds_needed: int | None = None
    images_needed: int | None = None
    both_needed: dict[str, int] | None = None


def fewest(alpha: float) -> int:
    """Seeds, or images that tell two methods apart, that say something at `alpha`: 2 / 2^n reaches it.

    With fewer, agreement of all in sign is no evidence whatever the statistic, and the test over both would rest on a
    variance of a few values: its errors rise to 8 % at 3 seeds and to 12 % at 2, where 5 % are meant.
    """
    return math.ceil(math.log2(2 / alpha) - 1e-9)


def power(mean: float, components: Components, *, seeds: int, images: int, alpha: float) -> float:
    """Power of the test at `alpha` if mean and components are the true ones and every seed has the same images."""
    se, df = standard_error(components, Design.balanced(seeds, images))
    if se == 0.0:
        return float(mean != 0.0)
    # statsmodels' ttest_power is nan for some large effects, on either side; scipy's is only where it is next to 0
    critical, shift = stats.t.ppf(1 - alpha / 2, df), abs(mean) / se
    return float(np.nansum([stats.nct.sf(critical, df, shift), stats.nct.cdf(-critical, df, shift)]))


def needed(mean: float, components: Components, *, seeds: int, images: int, alpha: float) -> Needed:
    """What the test takes that was done with so many seeds and images, for the power."""

    def enough(seeds: int, images: int) -> bool:
        return power(mean, components, seeds=seeds, images=images, alpha=alpha) >= POWER

    def images_with(count: int) -> int:
        return math.ceil(images * count / seeds)

    of_seeds = _first(SEEDS_UP_TO, lambda count: enough(count, images))
    of_images = _first(IMAGES_UP_TO, lambda count: enough(seeds, count))
    if of_seeds is not None or of_images is not None:
        return Needed(of_seeds, of_images)
    of_both = _first(SEEDS_UP_TO, lambda count: enough(count, images_with(count)))
    return Needed(both_needed=None if of_both is None else {"seeds": of_both, "images": images_with(of_both)})


def _first(limit: int, enough: Callable[[int], bool]) -> int | None:
    """The first number from 2 on that is enough; more are then enough too."""
    if not enough(limit):
        return None
    return 2 + bisect_left(range(2, limit + 1), True, key=enough)
