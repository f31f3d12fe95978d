"""Over several data sets: mean rank and interquartile mean, with stratified bootstrap intervals (Agarwal et al. 2021).

Agarwal, Schwarzer, Castro, Courville, Bellemare: Deep RL at the Edge of the Statistical Precipice, NeurIPS 2021,
section 4: runs are resampled with replacement within each data set, and the statistic is taken anew each time.
(scipy's bootstrap refuses a data set with a single run, which here is drawn again and again.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 5000
TRIM = 0.25  # share of the runs left out at either end
_SEED = 0


class Aggregate(NamedTuple):
    """One group over all data sets."""

    rank: float  # mean over data sets, 1 is best
    rank_low: float
    rank_high: float
    iqm: float
    iqm_low: float
    iqm_high: float


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis."""
    return stats.trim_mean(values, TRIM, axis=-1)


def mean_ranks(means: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """[..., groups, data sets] -> [..., groups]; ties share their mean rank."""
    return stats.rankdata(-means if higher_is_better else means, axis=-2).mean(axis=-1)


def critical_difference(groups: int, datasets: int, level: float = 0.95) -> float:
    """By how much mean ranks of two groups must differ for Nemenyi's test; Demsar, JMLR 2006, section 3.2.2.

    It compares every pair and asks for other data sets: over few of them only large differences are significant.
    """
    studentized = stats.studentized_range.ppf(level, groups, np.inf) / np.sqrt(2)
    return float(studentized * np.sqrt(groups * (groups + 1) / (6 * datasets)))


def iqm_of_differences(differences: Sequence[np.ndarray], level: float = 0.95) -> tuple[float, float, float]:
    """Interquartile mean of paired differences with its interval; `differences[data set]` are those of the seeds."""
    generator = np.random.default_rng(_SEED)
    drawn = np.concatenate([_resampled(runs, generator) for runs in differences], axis=-1)
    whole = float(interquartile_mean(np.concatenate(list(differences))))
    return whole, *_percentile(interquartile_mean(drawn), level)


def aggregate(scores: Sequence[Sequence[np.ndarray]], higher_is_better: bool, level: float = 0.95) -> list[Aggregate]:
    """`scores[group][data set]` are metrics of runs, at least one each. One Aggregate a group."""
    generator = np.random.default_rng(_SEED)
    drawn = [[_resampled(runs, generator) for runs in group] for group in scores]
    ranks = mean_ranks(np.array([[runs.mean() for runs in group] for group in scores]), higher_is_better)
    drawn_means = np.array([[runs.mean(axis=-1) for runs in group] for group in drawn])  # [groups, sets, draws]
    drawn_ranks = mean_ranks(np.moveaxis(drawn_means, -1, 0), higher_is_better)  # [draws, groups]
    iqms = [float(interquartile_mean(np.concatenate(group))) for group in scores]
    drawn_iqms = [interquartile_mean(np.concatenate(group, axis=-1)) for group in drawn]
    return [
        Aggregate(float(rank), *_percentile(some_ranks, level), iqm, *_percentile(some_iqms, level))
        for rank, some_ranks, iqm, some_iqms in zip(ranks, drawn_ranks.T, iqms, drawn_iqms, strict=True)
    ]


def _resampled(runs: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """[RESAMPLES, runs]."""
    return runs[generator.integers(len(runs), size=(RESAMPLES, len(runs)))]


def _percentile(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
