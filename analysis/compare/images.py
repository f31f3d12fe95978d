"""Tests over the images of the test split, from stored predictions.

The seeds of a group see the same images, so their answers to one image are not independent: adding up the
contingency tables of all seeds would count every image several times. Hence one figure an image: in how many seeds
it was recognised. Two groups are compared image by image: McNemar's test counts the images on which one group was
right in more seeds than the other, which is the usual test where there is one seed. The bootstrap resamples images.
Both are about these trained models on further images; what another seed would give is the matter of `statistics`, and
both together of `crossed`.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis.compare.statistics import Interval, bootstrap_interval


class ImageTest(NamedTuple):
    """A group against the baseline over test images."""

    images: int
    better: int  # images that the group recognises in more seeds
    worse: int
    p: float
    difference: float  # of accuracy
    bootstrap: Interval


def image_test(differences: np.ndarray, *, level: float = 0.95) -> ImageTest:
    """From differences [N], group minus baseline, of the shares of seeds that are right about each image."""
    better, worse = int((differences > 1e-9).sum()), int((differences < -1e-9).sum())
    return ImageTest(
        images=len(differences),
        better=better,
        worse=worse,
        p=mcnemar_p(better, worse),
        difference=float(differences.mean()),
        bootstrap=bootstrap_interval(differences, level=level),
    )


def mcnemar_p(better: int, worse: int) -> float:
    """Exact, two-sided (McNemar 1947; binomial form): 1 where no image tells the two apart."""
    if better + worse == 0:
        return 1.0
    return float(stats.binomtest(better, better + worse, 0.5).pvalue)
