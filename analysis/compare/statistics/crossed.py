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
from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis.compare.statistics.over_seeds import NO_INTERVAL


class Differences(NamedTuple):
    """Differences between two methods, a value for each seed and test image."""

    values: np.ndarray  # float [M]
    seeds: np.ndarray  # int [M], from 0
    images: np.ndarray  # int [M], from 0; seeds that share an image share its number
    groups: np.ndarray | None = None  # int [M], from 0: the group of each image; None where images are independent

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
    images_per_seed: int
    images_apart: int  # on which the two differ over the seeds: the others say nothing of which is better
    difference: float
    se: float
    df: float
    low: float
    high: float
    components: Components
    p: float  # two-sided, of a mean of 0


class Design(NamedTuple):
    """What the variance of the mean is made of: its value is sum(weight * component)."""

    seed: float  # weights of the three components
    image: float
    rest: float
    df_seed: float
    df_image: float  # 0: no image is shared
    df_rest: float

    @classmethod
    def balanced(cls, seeds: int, images: int) -> "Design":
        """Every seed has the same images."""
        degrees = seeds - 1, max(1, images - 1), max(1, (seeds - 1) * (images - 1))
        return cls(1 / seeds, 1 / images, 1 / (seeds * images), *degrees)


def crossed_test(differences: Differences, *, level: float = 0.95) -> CrossedTest:
    """The test over both. With one seed, or one image a seed, only the mean is known.

    `differences` has a value for each independent image, or for each group of them (`clusters.by_group`).
    """
    values, seeds, images, _ = differences
    per_seed = np.bincount(seeds)
    mean = float((np.bincount(seeds, weights=values) / per_seed).mean())
    apart = int((np.abs(np.bincount(images, weights=values)) > 1e-9).sum())
    count = len(per_seed), len(np.unique(images)), round(len(values) / len(per_seed)), apart
    if len(per_seed) < 2 or len(values) <= len(per_seed):
        unknown = Components(math.nan, math.nan, math.nan)
        return CrossedTest(*count, mean, math.nan, math.nan, *NO_INTERVAL, unknown, math.nan)
    components = variance_components(differences)
    se, df = standard_error(components, _design(differences))
    if se == 0.0:  # all values are equal
        return CrossedTest(*count, mean, se, df, mean, mean, components, 1.0 if mean == 0.0 else 0.0)
    half = float(stats.t.ppf((1 + level) / 2, df) * se)
    p = float(2 * stats.t.sf(abs(mean) / se, df))
    return CrossedTest(*count, mean, se, df, mean - half, mean + half, components, p)


def variance_components(differences: Differences) -> Components:
    """Estimate the components from the mean squared differences of pairs; needs two seeds and two images a seed."""
    values, seeds, images, _ = differences
    values = values - values.mean()  # the sums below are then as exact as they can be
    total, pairs = _squared_differences(values, np.zeros(len(values), dtype=int))
    same_seed, seed_pairs = _squared_differences(values, seeds)
    within_seed = same_seed / seed_pairs
    if not differences.shares_images:
        nothing = (total - same_seed) / (pairs - seed_pairs)
        return Components(at_least_0(nothing - within_seed), 0.0, at_least_0(within_seed))
    same_image, image_pairs = _squared_differences(values, images)
    within_image = same_image / image_pairs
    nothing = (total - same_seed - same_image) / (pairs - seed_pairs - image_pairs)
    return Components(
        at_least_0(nothing - within_seed),
        at_least_0(nothing - within_image),
        at_least_0(within_seed + within_image - nothing),
    )


def _squared_differences(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Sum of (a - b)^2 / 2 over the ordered pairs of one group, and the number of those pairs."""
    sizes = np.bincount(groups)
    sums, squares = np.bincount(groups, weights=values), np.bincount(groups, weights=values**2)
    return float((sizes * squares - sums**2).sum()), float((sizes * (sizes - 1.0)).sum())


def at_least_0(variance: float) -> float:
    """A component, 0 where it is below or a rounding error."""
    return variance if variance > 1e-15 else 0.0


def _design(differences: Differences) -> Design:
    """Each seed counts alike, and each image of a seed."""
    values, seeds, images, _ = differences
    per_seed = np.bincount(seeds)
    count = len(per_seed)
    weights = 1.0 / (count * per_seed[seeds])
    weight_of_image = np.bincount(images, weights=weights)
    df_image = len(np.unique(images)) - 1.0 if differences.shares_images else 0.0
    df_rest = max(1.0, len(values) - count - df_image)
    squares = float((weight_of_image**2).sum()), float((weights**2).sum())
    return Design(1.0 / count, *squares, count - 1.0, df_image, df_rest)


def standard_error(components: Components, design: Design) -> tuple[float, float]:
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
