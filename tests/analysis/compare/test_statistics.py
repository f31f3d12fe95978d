"""Statistics against scipy's and statsmodels' own functions, closed forms, and enumeration."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from analysis.compare.statistics.needed import fewest
from analysis.compare.statistics.over_datasets import (
    aggregate,
    critical_difference,
    interquartile_mean,
    iqm_of_differences,
)
from analysis.compare.statistics.over_images import image_test, mcnemar_p
from analysis.compare.statistics.over_seeds import (
    bootstrap_interval,
    holm,
    min_attainable_p,
    paired_test,
    sign_flip_p,
    summarize,
)

SAMPLE = [0.012, -0.004, 0.021, 0.007, 0.015]


def test_t_interval_and_t_test_are_those_of_scipy() -> None:
    found = paired_test(SAMPLE)
    test = stats.ttest_rel(SAMPLE, [0.0] * 5)
    low, high = test.confidence_interval(0.95)
    assert found.p_t == pytest.approx(test.pvalue, rel=1e-12)
    assert (found.t_low, found.t_high) == pytest.approx((low, high), rel=1e-12)
    summary = summarize(SAMPLE)
    assert (summary.t_low, summary.t_high) == pytest.approx((low, high), rel=1e-12)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_sign_flip_is_the_share_of_all_sign_patterns(n: int) -> None:
    sample = np.random.default_rng(n).normal(0.5, 1.0, n)
    means = [abs(np.dot(signs, sample)) for signs in itertools.product((-1, 1), repeat=n)]
    expected = np.mean([mean >= abs(sample.sum()) - 1e-12 for mean in means])
    assert sign_flip_p(sample) == pytest.approx(expected, abs=1e-12)


def test_sign_flip_with_ties_and_zeros() -> None:
    """Patterns of 1, 1, 0, -1 with |sum| >= 1: all 16, since an odd number of ones can't cancel."""
    assert sign_flip_p(np.array([1.0, 1.0, 0.0, -1.0])) == 1.0
    assert sign_flip_p(np.array([0.1, 0.1, 0.1])) == pytest.approx(0.25)
    assert sign_flip_p(np.zeros(3)) == 1.0


def test_sign_flip_of_many_pairs_is_close_to_the_t_test() -> None:
    sample = np.random.default_rng(1).normal(0.4, 1.0, 40)
    assert sign_flip_p(sample) == pytest.approx(stats.ttest_1samp(sample, 0).pvalue, abs=0.005)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_least_p_is_reached_where_all_differences_agree(n: int) -> None:
    assert sign_flip_p(np.linspace(1.0, 2.0, n)) == pytest.approx(min_attainable_p(n), abs=1e-12)


def test_bootstrap_interval_against_all_resamples() -> None:
    """Three values have 27 equally likely resamples; 10,000 drawn ones give their quantiles."""
    sample = np.array([0.2, 0.5, 0.9])
    means = [np.mean(drawn) for drawn in itertools.product(sample, repeat=3)]
    expected = np.quantile(means, [0.025, 0.975], method="inverted_cdf")
    assert bootstrap_interval(sample) == pytest.approx(expected, abs=1e-9)


def test_equal_values_have_no_t_test_and_an_interval_without_width() -> None:
    found = paired_test([0.01, 0.01, 0.01])
    assert math.isnan(found.p_t) and found.sd == pytest.approx(0.0, abs=1e-15)
    assert (found.t_low, found.t_high) == pytest.approx((0.01, 0.01))


def test_one_value_has_no_interval() -> None:
    found = summarize([0.5])
    assert (found.n, found.mean) == (1, 0.5)
    assert all(math.isnan(value) for value in found[2:])
    assert paired_test([0.5]).p_sign_flip == 1.0


def test_values_that_are_not_finite_do_not_count() -> None:
    assert summarize([0.2, math.nan, 0.4]).mean == pytest.approx(0.3)
    assert summarize([]).n == 0


def test_holm_is_that_of_statsmodels() -> None:
    p_values = [0.04, 0.001, 0.03, 0.02, 0.9, 0.02]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], rel=1e-12)
    with_gap = holm([0.04, math.nan, 0.001])
    assert with_gap[0] == pytest.approx(0.04) and math.isnan(with_gap[1]) and with_gap[2] == pytest.approx(0.002)


def test_fewest_seeds_reach_the_least_p() -> None:
    """2/2^n must come to 0.05: six seeds; to 0.0125: eight."""
    assert fewest(0.05) == 6 and fewest(0.0125) == 8


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (5, 0), (12, 5), (30, 31), (359, 10)])
def test_mcnemar_is_that_of_statsmodels(better: int, worse: int) -> None:
    if better + worse:
        expected = mcnemar([[10, better], [worse, 10]], exact=True).pvalue
        assert mcnemar_p(better, worse) == pytest.approx(expected, rel=1e-10)
    else:
        assert mcnemar_p(better, worse) == 1.0


def test_images_count_once_however_many_seeds_there_are() -> None:
    """Three seeds that all agree say as much about images as one seed does."""
    group, base = np.array([1, 1, 1, 0, 1, 0.0]), np.array([0, 1, 0, 0, 0, 1.0])
    one = image_test(group - base)
    assert (one.better, one.worse, one.p_mcnemar) == (3, 1, 0.625)
    mixed = image_test(np.array([1 / 3, -1 / 3, 0.0]))
    assert (mixed.better, mixed.worse) == (1, 1) and mixed.difference == pytest.approx(0.0)


def test_bootstrap_over_images_is_close_to_the_normal_interval() -> None:
    rng = np.random.default_rng(3)
    group, base = (rng.random(2000) < 0.8).astype(float), (rng.random(2000) < 0.75).astype(float)
    found = image_test(group - base)
    half = 1.96 * (group - base).std(ddof=1) / math.sqrt(2000)
    assert (found.low, found.high) == pytest.approx((found.difference - half, found.difference + half), abs=0.003)


def test_interquartile_mean_by_hand() -> None:
    """The middle four of eight values."""
    assert interquartile_mean(np.array([9, 1, 2, 3, 4, 5, 6, -7.0])) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_aggregate_against_all_resamples() -> None:
    """Two data sets of two runs have 4 x 4 equally likely resamples, drawn within each data set."""
    scores = [[[0.1, 0.3], [0.6, 0.8]], [[0.2, 0.2], [0.7, 0.7]]]
    arrays = [[np.array(runs) for runs in group] for group in scores]
    first, second = aggregate(arrays, higher_is_better=True)
    draws = [
        (*a, *b) for a in itertools.product(scores[0][0], repeat=2) for b in itertools.product(scores[0][1], repeat=2)
    ]
    iqms = [np.mean(sorted(drawn)[1:3]) for drawn in draws]
    expected = np.quantile(iqms, [0.025, 0.975], method="inverted_cdf")
    assert first.iqm == pytest.approx((0.3 + 0.6) / 2) and (first.iqm_low, first.iqm_high) == pytest.approx(expected)
    assert (second.iqm_low, second.iqm_high) == pytest.approx((0.45, 0.45))
    assert (first.rank, second.rank) == (1.5, 1.5)  # the same means
    assert (first.rank_low, first.rank_high) == pytest.approx((1.0, 2.0))


def test_critical_differences_as_published() -> None:
    """Demsar, JMLR 2006: section 3.2.3 has four classifiers on 14 data sets; table 5 has q for ten classifiers."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.9) == pytest.approx(2.291 * np.sqrt(4 * 5 / (6 * 14)), abs=0.002)
    assert critical_difference(10, 6) == pytest.approx(3.164 * np.sqrt(10 * 11 / (6 * 6)), abs=0.002)


def test_paired_differences_are_drawn_within_each_data_set() -> None:
    """Four equal differences a data set: their middle half is two of each, whichever are drawn."""
    middle, low, high = iqm_of_differences([np.full(4, 0.02), np.full(4, -0.01)])
    assert (middle, low, high) == pytest.approx((0.005, 0.005, 0.005))
    middle, low, high = iqm_of_differences([np.array([0.01, 0.02, 0.03, 0.30])])
    assert middle == pytest.approx(0.025) and low == pytest.approx(0.01) and high > 0.15


def test_ranks_follow_the_direction_of_the_metric() -> None:
    scores = [[np.array([a]), np.array([b])] for a, b in ((0.9, 0.9), (0.5, 0.6), (0.1, 0.7))]
    assert [a.rank for a in aggregate(scores, higher_is_better=True)] == [1.0, 2.5, 2.5]
    assert [a.rank for a in aggregate(scores, higher_is_better=False)] == [3.0, 1.5, 1.5]
