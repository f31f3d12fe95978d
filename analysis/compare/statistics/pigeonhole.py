"""Owen's pigeonhole bootstrap: seeds and test images resampled together.

Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 386. It asks for no model; what it gets wrong
with few seeds, and what the verdicts rest on instead, is said in `crossed`.
"""

from collections.abc import Iterator

import numpy as np

from analysis.compare.statistics.crossed import Differences
from analysis.compare.statistics.over_seeds import NO_INTERVAL, Interval

RESAMPLES = 2000
_SEED = 0  # of the resampling: the same runs give the same numbers
_AT_A_TIME = 4_000_000  # numbers held


def pigeonhole_interval(differences: Differences, *, level: float = 0.95) -> Interval:
    """Percentile interval of the mean; NO_INTERVAL with one seed.

    Seeds are drawn with replacement, and so are images: from all of them where seeds share their images, else within
    each seed that was drawn. A resample without any value, which few images shared by few seeds may give, is left out.
    """
    if len(np.unique(differences.seeds)) < 2:
        return NO_INTERVAL
    generator = np.random.default_rng(_SEED)
    draw = _crossed if differences.shares_images else _nested
    means = np.concatenate(list(draw(differences, generator)))
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _crossed(differences: Differences, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Means of resamples: how often a value counts is how often its seed was drawn, times how often its image was."""
    values, seeds, images, _ = differences
    _, images = np.unique(images, return_inverse=True)
    shape = seeds.max() + 1, images.max() + 1
    table, there = np.zeros(shape), np.zeros(shape)
    table[seeds, images], there[seeds, images] = values, 1.0
    for size in _batches(shape[1]):
        of_seeds, of_images = (generator.multinomial(n, np.full(n, 1 / n), size).astype(float) for n in shape)
        sums = np.einsum("bi,bi->b", of_seeds @ table, of_images)
        counts = np.einsum("bi,bi->b", of_seeds @ there, of_images)
        yield np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)


def _nested(differences: Differences, generator: np.random.Generator) -> Iterator[np.ndarray]:
    """Means of resamples: seeds, then as many images of each as it has."""
    values, seeds = differences.values, differences.seeds
    of_seed = [values[seeds == seed] for seed in np.unique(seeds)]
    count = len(of_seed)
    for size in _batches(max(map(len, of_seed))):
        means = np.empty((size, count))
        drawn = generator.integers(count, size=(size, count))
        for seed, own in enumerate(of_seed):
            places = drawn == seed
            means[places] = own[generator.integers(len(own), size=(int(places.sum()), len(own)))].mean(axis=1)
        yield means.mean(axis=1)


def _batches(width: int) -> Iterator[int]:
    """Sizes of batches that together are RESAMPLES."""
    most = max(1, _AT_A_TIME // width)
    for start in range(0, RESAMPLES, most):
        yield min(most, RESAMPLES - start)
