"""Tests over seeds and test images at once: closed forms, a mixed model of statsmodels, enumeration, simulation."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from analysis.compare.metric import METRICS
from analysis.compare.records.archive import read_archive
from analysis.compare.statistics.crossed import (
    CrossedTest,
    Differences,
    crossed_test,
    variance_components,
)
from analysis.compare.statistics.image_differences import paired_differences
from analysis.compare.statistics.needed import needed, power
from analysis.compare.statistics.over_seeds import paired_test
from analysis.compare.statistics.pigeonhole import pigeonhole_interval

SEEDS, IMAGES = 8, 400


def archived(repository: Path, sweep: str, method: str, **settings: str) -> Differences:
    """Top-1 of a method minus that of `head`, by seed and test image, in an archive of the study."""
    runs, _ = read_archive(repository / f"docs/study/{sweep}.records.npz")
    wanted = {f"dataset.{key}": value for key, value in settings.items()}
    runs = [run for run in runs if wanted.items() <= run.params.items()]
    mine, head = (
        {run.params["seed"]: run for run in runs if run.params["method.name"] == name} for name in (method, "head")
    )
    found = paired_differences([(mine[seed], head[seed]) for seed in sorted(mine)], METRICS["top1"], None)
    assert found is not None and len(found.values) == SEEDS * IMAGES
    return found


def mean_squares(matrix: np.ndarray) -> tuple[float, float, float]:
    """Components of seeds, of images and of the rest, as in a textbook's two-way analysis of variance."""
    seeds, images = matrix.shape
    of_seeds, of_images, mean = matrix.mean(axis=1), matrix.mean(axis=0), matrix.mean()
    rest = matrix - of_seeds[:, None] - of_images[None, :] + mean
    squares = images * ((of_seeds - mean) ** 2).sum(), seeds * ((of_images - mean) ** 2).sum(), (rest**2).sum()
    degrees = seeds - 1, images - 1, (seeds - 1) * (images - 1)
    first, second, third = (float(square / degree) for square, degree in zip(squares, degrees, strict=True))
    return first, second, third


def simulated(
    rng: np.random.Generator, sd: tuple[float, float, float], shape: tuple[int, int], images: np.ndarray | None = None
) -> np.ndarray:
    """Differences without a difference; `images`: standardised effects to draw from instead of normal ones."""
    of_images = rng.normal(size=shape[1]) if images is None else rng.choice(images, shape[1])
    return sd[0] * rng.normal(size=(shape[0], 1)) + sd[1] * of_images + sd[2] * rng.normal(size=shape)


def test_it_is_the_two_way_analysis_of_variance_with_satterthwaites_degrees() -> None:
    matrix = simulated(np.random.default_rng(0), (0.5, 0.7, 1.0), (6, 40))
    found, (seed, image, rest) = crossed_test(Differences.of_matrix(matrix)), mean_squares(matrix)
    assert found.components == pytest.approx(((seed - rest) / 40, (image - rest) / 6, rest), rel=1e-9)
    variance = seed + image - rest
    df = variance**2 / (seed**2 / 5 + image**2 / 39 + rest**2 / (5 * 39))
    assert (found.se, found.df) == pytest.approx((math.sqrt(variance / 240), df), rel=1e-9)
    low, high = stats.t.interval(0.95, df, loc=matrix.mean(), scale=found.se)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(matrix.mean()) / found.se, df), rel=1e-9)


def test_the_interval_reaches_zero_where_p_is_alpha() -> None:
    matrix = simulated(np.random.default_rng(1), (0.5, 0.7, 1.0), (8, 50)) + 0.6
    p = crossed_test(Differences.of_matrix(matrix)).p
    assert crossed_test(Differences.of_matrix(matrix), level=1 - p).low == pytest.approx(0.0, abs=1e-9)


def test_components_below_zero_count_as_zero() -> None:
    """Seeds that agree more than the rest allows leave the variance of images, and its degrees of freedom."""
    matrix = simulated(np.random.default_rng(2), (0.0, 2.0, 1.0), (8, 50))
    matrix -= matrix.mean(axis=1, keepdims=True)
    found, (_, image, _) = crossed_test(Differences.of_matrix(matrix)), mean_squares(matrix)
    assert found.components.seed == 0.0 and found.df == pytest.approx(49)
    assert found.se == pytest.approx(math.sqrt(image / 400))


def test_seeds_with_images_of_their_own_are_tested_by_the_means_of_seeds() -> None:
    """Images within seeds are in the spread of the seeds' means already."""
    matrix = simulated(np.random.default_rng(3), (1.0, 0.7, 1.0), (6, 40))
    nested = Differences(matrix.ravel(), np.repeat(np.arange(6), 40), np.arange(240))
    found, expected = crossed_test(nested), stats.ttest_1samp(matrix.mean(axis=1), 0.0)
    assert not nested.shares_images and (found.p, found.df) == pytest.approx((expected.pvalue, 5), rel=1e-9)


@pytest.mark.parametrize("matrix", [np.full((4, 5), 0.25), np.zeros((3, 3))])
def test_equal_values_have_an_interval_without_width(matrix: np.ndarray) -> None:
    found = crossed_test(Differences.of_matrix(matrix))
    assert (found.low, found.high, found.p) == (matrix[0, 0], matrix[0, 0], float(matrix[0, 0] == 0))


def test_one_seed_has_a_mean_and_no_test() -> None:
    found = crossed_test(Differences.of_matrix(np.array([[1.0, 0.0, 0.0, 1.0]])))
    assert found.difference == 0.5 and math.isnan(found.p) and math.isnan(found.low)
    assert math.isnan(pigeonhole_interval(Differences.of_matrix(np.ones((1, 4)))).low)


@pytest.mark.slow
def test_difference_and_standard_error_are_those_of_a_mixed_model(repository: Path) -> None:
    """REML with crossed random effects, of an archived sweep; agreement to 0.1 % of the standard error."""
    found = archived(repository, "study_neighbours", "head_knn")
    every = pd.DataFrame({"y": 10 * found.values, "seed": found.seeds, "image": found.images})
    chosen = every[every.image < 200]  # of 400: the model takes time with the square of them
    parts = {"seed": "0 + C(seed)", "image": "0 + C(image)"}
    model = MixedLM.from_formula("y ~ 1", chosen, groups=np.ones(len(chosen)), re_formula="0", vc_formula=parts)
    fitted = model.fit(reml=True, method="powell")
    ours = crossed_test(Differences(*(chosen[name].to_numpy() for name in ("y", "seed", "image"))))
    assert min(ours.components) > 0
    assert ours.difference == pytest.approx(fitted.fe_params["Intercept"], rel=1e-6)
    assert ours.se == pytest.approx(fitted.bse["Intercept"], rel=1e-3)
    by_name = dict(zip(model.exog_vc.names, fitted.vcomp, strict=True))
    assert ours.components == pytest.approx((by_name["seed"], by_name["image"], fitted.scale), rel=5e-3)


def errors(matrices: list[np.ndarray]) -> tuple[float, float]:
    """Shares of matrices without a difference in which the crossed test and the t-test over seeds find one."""
    crossed = [crossed_test(Differences.of_matrix(matrix)).p for matrix in matrices]
    over_seeds = stats.ttest_1samp(np.stack([matrix.mean(axis=1) for matrix in matrices]), 0.0, axis=1).pvalue
    return float(np.mean(np.array(crossed) <= 0.05)), float(np.mean(over_seeds <= 0.05))


@pytest.mark.slow
@pytest.mark.parametrize(("method", "least_over_seeds"), [("knn", 0.45), ("head_knn", 0.2), ("hma_head", 0.06)])
def test_it_errs_in_five_of_a_hundred_cases_where_a_test_over_seeds_errs_far_more(
    repository: Path, method: str, least_over_seeds: float
) -> None:
    """Eight seeds and 400 images, variances and the images' effects as on test images with noise.

    There images are nearly all of knn's variance and most of head_knn's; seeds are the larger part of hma_head's.
    """
    found = archived(repository, "study_corruption", method, test_corruption="noise")
    components = variance_components(found)
    assert min(components) > 0
    of_images = np.bincount(found.images, weights=found.values)
    effects = (of_images - of_images.mean()) / of_images.std()
    rng, sd = np.random.default_rng(4), (math.sqrt(components.seed), math.sqrt(components.image), components.rest**0.5)
    ours, over_seeds = errors([simulated(rng, sd, (SEEDS, IMAGES), effects) for _ in range(3000)])
    assert 0.03 <= ours <= 0.07
    assert over_seeds >= least_over_seeds


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.0, 0.95), (0.1, 0.4), (0.5, 0.3), (0.7, 0.2), (1.0, 0.0)])
def test_it_keeps_its_level_whatever_the_variance_is_made_of(shares: tuple[float, float]) -> None:
    """Shares of seeds and images in the variance of the mean, the rest's is what is left; a third fewer images."""
    shape = SEEDS, 120
    parts = (*shares, 1 - sum(shares))
    sd = tuple(math.sqrt(part * size) for part, size in zip(parts, (shape[0], shape[1], math.prod(shape)), strict=True))
    rng = np.random.default_rng(5)
    ours, _ = errors([simulated(rng, sd, shape) for _ in range(2500)])  # type: ignore[arg-type]
    assert (0.03 if sum(shares) else 0.015) <= ours <= 0.07  # components cut off at 0 make it careful where none is


@pytest.mark.slow
def test_seeds_that_share_some_of_their_images() -> None:
    """Each seed tests on its own draw of 80 images out of 200: neither crossed nor nested."""
    rng, wrong, as_if_others = np.random.default_rng(6), [], []
    for _ in range(2500):
        pool, chosen = rng.normal(size=200), np.stack([rng.permutation(200)[:80] for _ in range(SEEDS)])
        values = pool[chosen] + rng.normal(size=chosen.shape) + 0.1 * rng.normal(size=(SEEDS, 1))
        seeds = np.repeat(np.arange(SEEDS), 80)
        wrong.append(crossed_test(Differences(values.ravel(), seeds, chosen.ravel())).p <= 0.05)
        as_if_others.append(crossed_test(Differences(values.ravel(), seeds, np.arange(SEEDS * 80))).p <= 0.05)
    assert 0.03 <= np.mean(wrong) <= 0.07 and np.mean(as_if_others) > 0.12


@pytest.mark.slow
def test_a_true_difference_is_found_with_the_power_that_is_named(repository: Path) -> None:
    """Four points, the differences being as those of head_knn on test images with noise."""
    components = variance_components(archived(repository, "study_corruption", "head_knn", test_corruption="noise"))
    sd, rng, difference = tuple(math.sqrt(part) for part in components), np.random.default_rng(7), 0.027
    found = needed(difference, components, seeds=SEEDS, images=IMAGES, alpha=0.05)
    plans = [(found.seeds_needed, IMAGES), (SEEDS, found.images_needed)]
    for seeds, images in plans:
        assert seeds is not None and images is not None
        matrices = [simulated(rng, sd, (seeds, images)) + difference for _ in range(1200)]  # type: ignore[arg-type]
        assert 0.76 <= errors(matrices)[0] <= 0.87  # a whole seed more than 80 % needs may be a few percent more
    fewer = needed(difference, components, seeds=SEEDS, images=IMAGES // 2, alpha=0.05)
    assert fewer.seeds_needed is None  # however many: images vary
    assert power(difference, components, seeds=10**6, images=IMAGES // 2, alpha=0.05) < 0.8
    assert found.both_needed is None
    plan = needed(difference / 4, components, seeds=2, images=100, alpha=0.05).both_needed
    assert plan is not None and plan["images"] == 50 * plan["seeds"]


def test_without_images_and_rest_the_power_is_that_of_the_t_test() -> None:
    from statsmodels.stats.power import TTestPower

    components = variance_components(Differences.of_matrix(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])))
    assert components == pytest.approx((1.0, 0.0, 0.0))
    for effect, seeds in ((0.7, 9), (0.5, 10), (1.2, 6), (0.1, 50), (3.0, 3)):
        expected = TTestPower().power(effect, seeds, 0.05)
        assert power(effect, components, seeds=seeds, images=5, alpha=0.05) == pytest.approx(expected, abs=1e-9)
    for effect in (0.3, 0.7, 0.8):
        exact = TTestPower().solve_power(effect_size=effect, alpha=0.05, power=0.8)
        assert needed(effect, components, seeds=3, images=5, alpha=0.05).seeds_needed == math.ceil(exact)
    assert needed(1e-6, components, seeds=3, images=5, alpha=0.05).both_needed is None


def test_pigeonhole_against_all_resamples() -> None:
    """Two seeds and three images have 4 x 27 equally likely resamples."""
    matrix = np.array([[1.0, 0.0, -0.4], [0.3, 0.2, 0.9]])
    means = [
        matrix[np.ix_(seeds, images)].mean()
        for seeds in itertools.product(range(2), repeat=2)
        for images in itertools.product(range(3), repeat=3)
    ]
    found = pigeonhole_interval(Differences.of_matrix(matrix), level=0.8)
    # in 2000 draws a quantile may be a few resamples off
    ordered = np.sort(means)
    assert ordered[7] <= found.low <= ordered[15] and ordered[-15] <= found.high <= ordered[-7]


def test_pigeonhole_within_seeds_against_all_resamples() -> None:
    """Two seeds with two images each: 4 draws of seeds, each with 2^2 draws of images for either seed."""
    values = np.array([[1.0, 0.0], [0.3, 0.8]])
    drawn = list(itertools.product(range(2), repeat=2))
    means = [
        np.mean([values[seeds[0], list(first)].mean(), values[seeds[1], list(second)].mean()])
        for seeds in drawn
        for first in drawn
        for second in drawn
    ]
    found = pigeonhole_interval(Differences(values.ravel(), np.array([0, 0, 1, 1]), np.arange(4)), level=0.8)
    ordered = np.sort(means)
    assert ordered[4] <= found.low <= ordered[9] and ordered[-9] <= found.high <= ordered[-4]


@pytest.mark.parametrize(
    ("method", "corruption", "plain"),
    [
        ("head_knn", "contrast", (-0.0050, 0.0341)),
        ("knn", "jpeg", (-0.0522, 0.0200)),
        ("knn", "noise", (-0.0716, 0.0109)),
    ],
)
def test_what_further_seeds_alone_would_repeat_further_images_may_not(
    repository: Path, method: str, corruption: str, plain: tuple[float, float]
) -> None:
    """Differences that all eight seeds agree on; `plain`: intervals of another program's pigeonhole bootstrap."""
    found = archived(repository, "study_corruption", method, test_corruption=corruption)
    of_seeds = found.values.reshape(SEEDS, IMAGES).mean(axis=1)
    assert paired_test(of_seeds).p_sign_flip <= 0.04
    both: CrossedTest = crossed_test(found)
    assert both.p > 0.05 and both.low < 0 < both.high
    bootstrap = pigeonhole_interval(found)
    assert tuple(bootstrap) == pytest.approx(plain, abs=0.004)
    # the bootstrap counts the rest up to three times, and with it more than the variance of the mean
    assert 0.85 < (both.high - both.low) / (bootstrap.high - bootstrap.low) < 1.05
