"""Statistics over seeds, of one group and of two that are paired by seed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 10_000
EXACT_UP_TO = 16  # pairs whose 2^n signs are all tried; beyond, a random sample of them
_SEED = 0  # of the resampling: the same runs give the same numbers


class Interval(NamedTuple):
    """Lower and upper end; nan where there is none."""

    low: float
    high: float


NO_INTERVAL = Interval(math.nan, math.nan)


class SummaryStats(NamedTuple):
    """A sample: size, mean, standard deviation (n - 1), Student's and bootstrap intervals of the mean."""

    n: int
    mean: float
    sd: float
    t_low: float
    t_high: float
    bootstrap_low: float
    bootstrap_high: float


class PairedTest(NamedTuple):
    """Differences of pairs, and two-sided tests of whether their mean is zero."""

    pairs: int
    difference: float  # their mean
    sd: float
    t_low: float
    t_high: float
    p_t: float
    p_sign_flip: float
    min_attainable_p: float  # that the sign-flip test can give with so many pairs


def summarize(values: Sequence[float] | np.ndarray, *, level: float = 0.95) -> SummaryStats:
    """Summary of the finite values; what needs two of them is nan with fewer."""
    sample = np.asarray(values, dtype=float)
    sample = sample[np.isfinite(sample)]
    mean = float(sample.mean()) if len(sample) else math.nan
    ends = *t_interval(sample, level=level), *bootstrap_interval(sample, level=level)
    return SummaryStats(len(sample), mean, _sd(sample), *ends)


def _sd(sample: np.ndarray) -> float:
    return float(sample.std(ddof=1)) if len(sample) > 1 else math.nan


def t_interval(sample: np.ndarray, *, level: float = 0.95) -> Interval:
    """Student's interval of the mean; without width where all values are equal."""
    n = len(sample)
    if n < 2:
        return NO_INTERVAL
    half = stats.t.ppf((1 + level) / 2, n - 1) * sample.std(ddof=1) / math.sqrt(n)
    return Interval(float(sample.mean() - half), float(sample.mean() + half))


def bootstrap_interval(sample: np.ndarray, *, level: float = 0.95) -> Interval:
    """Percentile bootstrap interval of the mean (Efron and Tibshirani 1993, chapter 13)."""
    if len(sample) < 2:
        return NO_INTERVAL
    batch = max(1, 4_000_000 // len(sample))  # numbers held at a time
    done = stats.bootstrap(
        (sample,), np.mean, n_resamples=RESAMPLES, batch=batch, method="percentile", confidence_level=level, rng=_SEED
    )
    return Interval(float(done.confidence_interval.low), float(done.confidence_interval.high))


def paired_test(differences: Sequence[float] | np.ndarray, *, level: float = 0.95) -> PairedTest:
    """The t-test asks for normal differences; the sign-flip test only for differences that are symmetric around 0."""
    sample = np.asarray(differences, dtype=float)
    n = len(sample)
    if n == 0:
        return PairedTest(0, *[math.nan] * 7)
    varies = n > 1 and float(np.ptp(sample)) > 1e-12
    p_t = float(stats.ttest_1samp(sample, 0.0).pvalue) if varies else math.nan
    interval = t_interval(sample, level=level)
    return PairedTest(n, float(sample.mean()), _sd(sample), *interval, p_t, sign_flip_p(sample), min_attainable_p(n))


def sign_flip_p(sample: np.ndarray) -> float:
    """Two-sided p: the share of sign patterns whose mean is at least as far from 0 (Fisher 1935, section 21)."""
    if len(sample) == 1:
        return 1.0  # both signs are as far; scipy asks for two values
    resamples = math.inf if len(sample) <= EXACT_UP_TO else 2**EXACT_UP_TO
    done = stats.permutation_test(
        (sample,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=8192,
        rng=_SEED,
    )
    return float(done.pvalue)


def min_attainable_p(n: int) -> float:
    """The least two-sided p that n pairs can give by their signs: both patterns with all signs alike, of 2^n."""
    return min(1.0, 2.0 / 2.0**n)


def holm(p_values: Sequence[float] | pd.Series) -> np.ndarray:
    """p values that hold for all tests together (Holm 1979), in the order given; nan is no test.

    Statsmodels' function gives the same, and collects garbage at each call: a quarter of a comparison's time.
    """
    adjusted = np.array(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(adjusted))
    order = tested[np.argsort(adjusted[tested], kind="stable")]
    scaled = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted
