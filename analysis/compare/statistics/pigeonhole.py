"""Owen's pigeonhole bootstrap: seeds and test images resampled together.

Owen 2007, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 386. It asks for no model; what it gets wrong
with few seeds, and what the verdicts rest on instead, is said in `crossed`.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from analysis.compare.statistics.crossed import Differences
from analysis.compare.statistics.over_seeds import NO_INTERVAL, Interval

RESAMPLES = 2000
_SEED = 0  # of the resampling: the same runs give the same numbers
_AT_A_TIME = 4_000_000  # numbers held
_KEPT = 20_000_000  # numbers held from one row of a table to the next


def pigeonhole_interval(differences: Differences, *, level: float = 0.95) -> Interval:
    """Percentile interval of the mean; NO_INTERVAL with one seed.

    Seeds are drawn with replacement, and so are images: from all of them where seeds share their images, else within
    each seed that was drawn. A resample without any value, which few images shared by few seeds may give, is left out.
    """
    if len(np.unique(differences.seeds)) < 2:
        return NO_INTERVAL
    means = np.concatenate(list((_crossed if differences.shares_images else _nested)(differences)))
    low, high = np.nanquantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _crossed(differences: Differences) -> Iterator[np.ndarray]:
    """Means of resamples: how often a value counts is how often its seed was drawn, times how often its image was."""
    values, seeds, images, _ = differences
    _, images = np.unique(images, return_inverse=True)
    shape = seeds.max() + 1, images.max() + 1
    table, there = np.zeros(shape), np.zeros(shape)
    table[seeds, images], there[seeds, images] = values, 1.0
    for of_seeds, of_images in _kept_draws(*shape) if RESAMPLES * shape[1] <= _KEPT else _draws(*shape):
        sums = np.einsum("bi,bi->b", of_seeds @ table, of_images)
        counts = np.einsum("bi,bi->b", of_seeds @ there, of_images)
        yield np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def _draws(seeds: int, images: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """How often each seed, and each image, is in a resample; batch by batch."""
    generator = np.random.default_rng(_SEED)
    for size in _batches(images):
        of_seeds, of_images = (generator.multinomial(n, np.full(n, 1 / n), size) for n in (seeds, images))
        yield of_seeds.astype(float), of_images.astype(float)


@lru_cache(maxsize=1)
def _kept_draws(seeds: int, images: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same at once: all rows of a table have them in common, and to draw them takes longer than to use them."""
    return list(_draws(seeds, images))


def _nested(differences: Differences) -> Iterator[np.ndarray]:
    """Means of resamples: seeds, then as many images of each as it has."""
    generator = np.random.default_rng(_SEED)
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
