"""Over several data sets: mean rank and interquartile mean, with stratified bootstrap intervals (Agarwal et al. 2021).

Agarwal, Schwarzer, Castro, Courville, Bellemare: Deep RL at the Edge of the Statistical Precipice, NeurIPS 2021,
section 4: runs are resampled with replacement within each data set, and the statistic is taken anew each time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from analysis.compare.statistics import Interval

RESAMPLES = 5000
TRIM = 0.25  # share of the runs left out at either end
_SEED = 0
Scores = Sequence[Sequence[float]]  # of one group: for each data set, a figure a run


class Aggregate(NamedTuple):
    """One group over all data sets."""

    rank: float  # mean over data sets, 1 is best
    rank_interval: Interval
    iqm: float
    iqm_interval: Interval


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis."""
    return stats.trim_mean(values, TRIM, axis=-1)


def mean_ranks(means: np.ndarray, *, higher_is_better: bool) -> np.ndarray:
    """[..., groups, data sets] -> [..., groups]; ties share their mean rank."""
    signed = -means if higher_is_better else means
    return stats.rankdata(signed, axis=-2).mean(axis=-1)


def aggregate(scores: Sequence[Scores], *, higher_is_better: bool, level: float = 0.95) -> list[Aggregate]:
    """`scores[group][data set]` are figures of runs, at least one each. One Aggregate a group."""
    generator = np.random.default_rng(_SEED)
    plain = [[np.asarray(runs, dtype=float) for runs in group] for group in scores]
    drawn = [[_resampled(runs, generator) for runs in group] for group in plain]
    ranks = mean_ranks(np.array([[r.mean() for r in group] for group in plain]), higher_is_better=higher_is_better)
    drawn_means = np.array([[r.mean(axis=-1) for r in group] for group in drawn])  # [groups, data sets, resamples]
    drawn_ranks = mean_ranks(np.moveaxis(drawn_means, -1, 0), higher_is_better=higher_is_better)
    found = []
    for index, (group, resampled) in enumerate(zip(plain, drawn, strict=True)):
        iqm = float(interquartile_mean(np.concatenate(group)))
        drawn_iqm = interquartile_mean(np.concatenate(resampled, axis=-1))
        found.append(
            Aggregate(
                float(ranks[index]), _percentile(drawn_ranks[:, index], level), iqm, _percentile(drawn_iqm, level)
            )
        )
    return found


def _resampled(runs: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """[RESAMPLES, runs]."""
    return runs[generator.integers(len(runs), size=(RESAMPLES, len(runs)))]


def _percentile(values: np.ndarray, level: float) -> Interval:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
