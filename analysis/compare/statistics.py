"""Statistics over seeds, of one group and of two that are paired by seed. scipy does the work; Holm's is here."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 10_000
EXACT_UP_TO = 16  # pairs whose 2^n signs are all tried; beyond, a random sample of them
SEEDS_UP_TO = 1000
POWER = 0.8
_SEED = 0  # of the resampling: the same runs give the same figures


class Interval(NamedTuple):
    """Lower and upper end; nan where there is none."""

    low: float
    high: float


NO_INTERVAL = Interval(math.nan, math.nan)


class SummaryStats(NamedTuple):
    """A sample: size, mean, standard deviation (n - 1), intervals of the mean."""

    n: int
    mean: float
    sd: float
    t: Interval
    bootstrap: Interval


class Paired(NamedTuple):
    """Differences of pairs, and two-sided tests of whether their mean is zero."""

    n: int
    mean: float
    sd: float
    t: Interval
    p_t: float
    p_sign_flip: float
    min_attainable_p: float  # that the sign-flip test can give with n pairs


def spread(values: Sequence[float], *, level: float = 0.95) -> SummaryStats:
    """Summary of the finite values; what needs two of them is nan with fewer."""
    sample = np.asarray(values, dtype=float)
    sample = sample[np.isfinite(sample)]
    n = len(sample)
    mean = float(sample.mean()) if n else math.nan
    sd = float(sample.std(ddof=1)) if n > 1 else math.nan
    return SummaryStats(n, mean, sd, t_interval(sample, level=level), bootstrap_interval(sample, level=level))


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


def paired(differences: Sequence[float], *, level: float = 0.95) -> Paired:
    """The t-test asks for normal differences; the sign-flip test only for differences that are symmetric around 0."""
    sample = np.asarray(differences, dtype=float)
    n = len(sample)
    if n == 0:
        return Paired(0, math.nan, math.nan, NO_INTERVAL, math.nan, math.nan, math.nan)
    sd = float(sample.std(ddof=1)) if n > 1 else math.nan
    spreads = n > 1 and float(np.ptp(sample)) > 1e-12
    p_t = float(stats.ttest_1samp(sample, 0.0).pvalue) if spreads else math.nan
    return Paired(
        n, float(sample.mean()), sd, t_interval(sample, level=level), p_t, sign_flip_p(sample), min_attainable_p(n)
    )


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


def holm(p_values: Sequence[float]) -> list[float]:
    """p values that hold for all tests together (Holm 1979), in the order given; nan is no test."""
    p = np.asarray(p_values, dtype=float)
    order = [index for index in np.argsort(p, kind="stable") if not math.isnan(p[index])]
    adjusted, largest = [math.nan] * len(p), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * float(p[index])))
        adjusted[index] = largest
    return adjusted


def seeds_needed(mean: float, sd: float, *, alpha: float, power: float = POWER) -> int | None:
    """Seeds with which a paired t-test at `alpha` finds a true difference of this mean and spread, in `power` of cases.

    At least so many that the sign-flip test can reach `alpha`. None: more than SEEDS_UP_TO, or the spread is unknown.
    """
    if not (math.isfinite(mean) and math.isfinite(sd)) or mean == 0.0:
        return None
    least = max(2, math.ceil(math.log2(2.0 / alpha)))
    for n in range(least, SEEDS_UP_TO + 1):
        if sd <= 1e-12 or t_test_power(abs(mean) / sd, n, alpha) >= power:
            return n
    return None


def t_test_power(effect: float, n: int, alpha: float) -> float:
    """Power of the two-sided t-test on n differences, whose mean is `effect` standard deviations from 0."""
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    shift = effect * math.sqrt(n)
    upper, lower = stats.nct.sf(critical, n - 1, shift), stats.nct.cdf(-critical, n - 1, shift)
    return float(upper + (0.0 if math.isnan(lower) else lower))
