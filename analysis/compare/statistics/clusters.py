"""Test images in groups (of one patient, camera or site), which are not independent: the group is what is resampled.

A mean over images is then a ratio, of the sum over groups to the number of images. `by_group` gives each seed and group
one value whose mean is the seed's mean over images: what the group adds to it, the usual linearisation of a ratio
(Cochran 1977, Sampling Techniques, section 9A.2). The tests of `crossed`, `pigeonhole` and `over_images` take these
values in place of those of images. To resample them is the bootstrap of whole clusters (Field and Welsh 2007,
"Bootstrapping clustered data", J. R. Statist. Soc. B 69, 369; Cameron, Gelbach and Miller 2008, "Bootstrap-based
improvements for inference with clustered errors", Review of Economics and Statistics 90, 414). A group of copies counts
as one image.
"""

import numpy as np

from analysis.compare.statistics.crossed import Differences


def by_group(differences: Differences) -> Differences:
    """One value for each seed and group of its images, whose numbers are in place of those of images.

    Where the images have no groups, the differences as they are.
    """
    values, seeds, groups = differences.values, differences.seeds, differences.groups
    if groups is None:
        return differences
    count = int(groups.max()) + 1
    pairs, places = np.unique(seeds * count + groups, return_inverse=True)
    own_seeds, own_groups = pairs // count, pairs % count
    images = np.bincount(seeds)
    means = np.bincount(seeds, weights=values) / images
    beyond = np.bincount(places, weights=values - means[seeds])
    scale = np.bincount(own_seeds) / images
    return Differences(means[own_seeds] + scale[own_seeds] * beyond, own_seeds, own_groups)


def totals(differences: Differences) -> np.ndarray:
    """Sum over seeds, and over its images, of the differences of each group [G], or of each image where none has one.

    Its sign says which of the two methods is ahead there.
    """
    units = differences.images if differences.groups is None else differences.groups
    return np.bincount(units, weights=differences.values)
