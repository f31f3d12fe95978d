"""A test over the images of the test split, from stored predictions.

The seeds of a group see the same images, so their answers to one image are not independent: adding up the
contingency tables of all seeds would count every image several times. Hence one number an image: in how many seeds
it was right. Two groups are compared image by image: McNemar's test counts the images on which one group was right in
more seeds than the other, which is the usual test where there is one seed. The bootstrap resamples images. Both are
about these trained models on further images; what another seed would give is the matter of `over_seeds`, and both
together of `crossed`. Where images are in groups, each number is a group's (`clusters`).
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis.compare.statistics.over_seeds import bootstrap_interval


class ImageTest(NamedTuple):
    """A group against the baseline over test images."""

    difference: float  # of accuracy
    low: float  # bootstrap interval
    high: float
    better: int  # images, or groups of them, about which the method is right in more seeds
    worse: int
    p_mcnemar: float


def image_test(differences: np.ndarray, *, level: float = 0.95, totals: np.ndarray | None = None) -> ImageTest:
    """From differences [N], group minus baseline, of the shares of seeds that are right about each image.

    `totals` [N] say by their signs which of the two is ahead where the differences can't, being parts of a mean.
    """
    signs = differences if totals is None else totals
    better, worse = int((signs > 1e-9).sum()), int((signs < -1e-9).sum())
    interval = bootstrap_interval(differences, level=level)
    return ImageTest(float(differences.mean()), *interval, better, worse, mcnemar_p(better, worse))


def mcnemar_p(better: int, worse: int) -> float:
    """Exact, two-sided (McNemar 1947; binomial form): 1 where no image tells the two apart."""
    if better + worse == 0:
        return 1.0
    return float(stats.binomtest(better, better + worse, 0.5).pvalue)
