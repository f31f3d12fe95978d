"""A mean difference that is to hold for other seeds and other test images at once.

The differences y[s, i] between two methods, one a seed and test image, follow y[s, i] = mean + seed[s] + image[i] +
rest[s, i], with seeds, images and the rest drawn at random: crossed random effects (Baayen, Davidson and Bates 2008,
"Mixed-effects modeling with crossed random effects for subjects and items"). The variance of the mean is then
var_seed / S + var_image / N + var_rest / (S N). Testing over seeds with the images held fixed leaves out the second
term, testing over images with the trained models held fixed leaves out the first.

The components are estimated without iterations, from half the mean squared difference of two values that share
nothing (var_seed + var_image + var_rest), a seed (var_image + var_rest) or an image (var_seed + var_rest). Where every
seed has the same images this is the analysis of variance, and so the REML estimate of a mixed model as long as no
component is negative; it holds as well where seeds have images of their own, or share some. Components below 0 count
as 0. The test is Student's with degrees of freedom after Satterthwaite (1946), known as quasi-F (Clark 1973, "The
language-as-fixed-effect fallacy").

Why not a bootstrap: Owen's pigeonhole bootstrap (2007, Annals of Applied Statistics 1, 386), which resamples seeds and
images together, is in `pigeonhole`. Its variance counts the rest up to three times, its percentile interval is too
narrow by sqrt((S - 1) / S) and has normal tails: with eight seeds both errors are large, and neither can be told from
the interval. Two-way clustered errors (Cameron, Gelbach and Miller 2011) are this variance without degrees of freedom
for few clusters. tests/analysis/compare/test_crossed.py simulates how often each errs.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis.compare.statistics import NO_INTERVAL, POWER, SEEDS_UP_TO, Interval

IMAGES_UP_TO = 1_000_000


class Differences(NamedTuple):
    """Differences between two methods, a value for each seed and test image."""

    values: np.ndarray  # float [M]
    seeds: np.ndarray  # int [M], from 0
    images: np.ndarray  # int [M], from 0; seeds that share an image share its number

    @classmethod
    def of_matrix(cls, matrix: np.ndarray) -> "Differences":
        """Values [S, N] of seeds that were all tested on the same images."""
        seeds, images = np.indices(matrix.shape)
        return cls(np.asarray(matrix, dtype=float).ravel(), seeds.ravel(), images.ravel())

    @property
    def shares_images(self) -> bool:
        """Whether any image was seen by more than one seed."""
        return len(np.unique(self.images)) < len(self.values)


class Components(NamedTuple):
    """Variances of one value; `image` is 0, and part of `rest`, where no two seeds share an image."""

    seed: float
    image: float
    rest: float


class CrossedTest(NamedTuple):
    """The mean over seeds, and what it may be with other seeds and other test images."""

    seeds: int
    images: int  # different ones
    mean: float
    components: Components
    se: float
    df: float
    interval: Interval
    p: float  # two-sided, of a mean of 0


NO_TEST = CrossedTest(
    0, 0, math.nan, Components(math.nan, math.nan, math.nan), math.nan, math.nan, NO_INTERVAL, math.nan
)


class _Design(NamedTuple):
    """What the variance of the mean is made of: its value is sum(weight * component)."""

    seed: float  # weights of the three components
    image: float
    rest: float
    df_seed: float
    df_image: float  # 0: no image is shared
    df_rest: float


def crossed_test(differences: Differences, *, level: float = 0.95) -> CrossedTest:
    """The test over both. With one seed, or one image a seed, only the mean is known."""
    values, seeds, images = differences
    per_seed = np.bincount(seeds)
    mean = float((np.bincount(seeds, weights=values) / per_seed).mean())
    count = len(np.unique(images))
    if len(per_seed) < 2 or len(values) <= len(per_seed):
        return NO_TEST._replace(seeds=len(per_seed), images=count, mean=mean)
    components, design = variance_components(differences), _design(differences)
    se, df = _standard_error(components, design)
    if se == 0.0:  # all values are equal
        p = 1.0 if mean == 0.0 else 0.0
        return CrossedTest(len(per_seed), count, mean, components, se, df, Interval(mean, mean), p)
    half = stats.t.ppf((1 + level) / 2, df) * se
    p = float(2 * stats.t.sf(abs(mean) / se, df))
    interval = Interval(float(mean - half), float(mean + half))
    return CrossedTest(len(per_seed), count, mean, components, se, df, interval, p)


def variance_components(differences: Differences) -> Components:
    """Estimate the components from the mean squared differences of pairs; needs two seeds and two images a seed."""
    values, seeds, images = differences
    values = values - values.mean()  # the sums below are then as exact as they can be
    total, pairs = _squared_differences(values, np.zeros(len(values), dtype=int))
    same_seed, seed_pairs = _squared_differences(values, seeds)
    within_seed = same_seed / seed_pairs
    if not differences.shares_images:
        nothing = (total - same_seed) / (pairs - seed_pairs)
        return Components(_at_least_0(nothing - within_seed), 0.0, _at_least_0(within_seed))
    same_image, image_pairs = _squared_differences(values, images)
    within_image = same_image / image_pairs
    nothing = (total - same_seed - same_image) / (pairs - seed_pairs - image_pairs)
    return Components(
        _at_least_0(nothing - within_seed),
        _at_least_0(nothing - within_image),
        _at_least_0(within_seed + within_image - nothing),
    )


def _squared_differences(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Sum of (a - b)^2 / 2 over the ordered pairs of one group, and the number of those pairs."""
    sizes = np.bincount(groups)
    sums, squares = np.bincount(groups, weights=values), np.bincount(groups, weights=values**2)
    return float((sizes * squares - sums**2).sum()), float((sizes * (sizes - 1.0)).sum())


def _at_least_0(variance: float) -> float:
    return variance if variance > 1e-15 else 0.0


def _design(differences: Differences) -> _Design:
    """Each seed counts alike, and each image of a seed."""
    values, seeds, images = differences
    per_seed = np.bincount(seeds)
    count = len(per_seed)
    weights = 1.0 / (count * per_seed[seeds])
    weight_of_image = np.bincount(images, weights=weights)
    df_image = len(np.unique(images)) - 1.0 if differences.shares_images else 0.0
    df_rest = max(1.0, len(values) - count - df_image)
    return _Design(
        1.0 / count, float((weight_of_image**2).sum()), float((weights**2).sum()), count - 1.0, df_image, df_rest
    )


def _standard_error(components: Components, design: _Design) -> tuple[float, float]:
    """Standard error of the mean, and Satterthwaite's degrees of freedom.

    The variance is a sum of mean squares that are each distributed as chi square: one of seeds, one of images, minus
    one of the rest, which both contain. A component of 0 takes its mean square out of the sum.
    """
    rest = components.rest * design.rest
    parts = []
    if components.seed > 0:
        parts.append((components.seed * design.seed + rest, design.df_seed))
    if components.image > 0:
        parts.append((components.image * design.image + rest, design.df_image))
    if len(parts) != 1:
        parts.append((rest if not parts else -rest, design.df_rest))
    variance = sum(part for part, _ in parts)
    if variance <= 0:
        return 0.0, design.df_seed
    return math.sqrt(variance), variance**2 / sum(part**2 / df for part, df in parts)


def power(mean: float, components: Components, *, seeds: int, images: int, alpha: float) -> float:
    """Power of the test at `alpha` if mean and components are the true ones and every seed has the same images."""
    design = _Design(
        1 / seeds, 1 / images, 1 / (seeds * images), seeds - 1, max(1, images - 1), max(1, (seeds - 1) * (images - 1))
    )
    se, df = _standard_error(components, design)
    if se == 0.0:
        return float(mean != 0.0)
    critical, shift = stats.t.ppf(1 - alpha / 2, df), abs(mean) / se
    upper, lower = stats.nct.sf(critical, df, shift), stats.nct.cdf(-critical, df, shift)
    return float(upper + (0.0 if math.isnan(lower) else lower))


def seeds_needed(
    mean: float, components: Components, *, images: int, alpha: float, target: float = POWER
) -> int | None:
    """Seeds with which the test on as many images has the power; None where SEEDS_UP_TO are too few."""
    return _first(SEEDS_UP_TO, lambda seeds: power(mean, components, seeds=seeds, images=images, alpha=alpha) >= target)


def images_needed(
    mean: float, components: Components, *, seeds: int, alpha: float, target: float = POWER
) -> int | None:
    """Test images with which the test on as many seeds has the power; None where IMAGES_UP_TO are too few."""
    return _first(
        IMAGES_UP_TO, lambda images: power(mean, components, seeds=seeds, images=images, alpha=alpha) >= target
    )


def both_needed(
    mean: float, components: Components, *, seeds: int, images: int, alpha: float, target: float = POWER
) -> dict[str, int] | None:
    """Seeds and test images with which the test has the power, in the proportion of `seeds` to `images`.

    None where SEEDS_UP_TO are too few.
    """

    def images_with(count: int) -> int:
        return math.ceil(images * count / seeds)

    found = _first(
        SEEDS_UP_TO, lambda n: power(mean, components, seeds=n, images=images_with(n), alpha=alpha) >= target
    )
    return None if found is None else {"seeds": found, "images": images_with(found)}


def _first(limit: int, enough: Callable[[int], bool]) -> int | None:
    """The first number from 2 on that is enough; more are then enough too."""
    if not enough(limit):
        return None
    return 2 + bisect_left(range(2, limit + 1), True, key=enough)
