"""Groups of images are resampled as wholes: copies add nothing, and dependent images widen intervals."""

from pathlib import Path

import numpy as np
import pytest

from analysis.compare.statistics.clusters import by_group, totals
from analysis.compare.statistics.crossed import Differences, crossed_test
from analysis.compare.statistics.over_images import image_test
from analysis.compare.statistics.pigeonhole import pigeonhole_interval
from tests.analysis.compare.conftest import WriteRun
from tests.analysis.compare.test_choice import compare

SEEDS, IMAGES, COPIES = 6, 60, 5


@pytest.fixture
def matrix() -> np.ndarray:
    """Differences [SEEDS, IMAGES]: -1, 0 or 1, with a mean above 0."""
    generator = np.random.default_rng(2)
    of_images = generator.choice([-1.0, 0.0, 1.0], IMAGES, p=[0.15, 0.5, 0.35])
    return np.where(generator.random((SEEDS, IMAGES)) < 0.7, of_images, 0.0)


def in_copies(matrix: np.ndarray) -> Differences:
    """Each image COPIES times, in a group of its own."""
    whole = Differences.of_matrix(np.repeat(matrix, COPIES, axis=1))
    return whole._replace(groups=whole.images // COPIES)


def test_copies_count_as_one_image(matrix: np.ndarray) -> None:
    once, copies = Differences.of_matrix(matrix), in_copies(matrix)
    units = by_group(copies)
    assert units.values == pytest.approx(once.values) and (units.images == once.images).all()
    ours, theirs = crossed_test(units), crossed_test(once)
    assert (ours.low, ours.high, ours.p) == pytest.approx((theirs.low, theirs.high, theirs.p))
    assert pigeonhole_interval(units) == pytest.approx(pigeonhole_interval(once))
    of_images, of_units = (np.bincount(d.images, weights=d.values) / SEEDS for d in (once, units))
    found, expected = image_test(of_units, totals=totals(copies)), image_test(of_images)
    assert found == pytest.approx(expected)


def test_intervals_of_dependent_images_are_wider(matrix: np.ndarray) -> None:
    copies = in_copies(matrix)
    as_if_independent, grouped = (crossed_test(d) for d in (copies._replace(groups=None), by_group(copies)))
    assert grouped.difference == pytest.approx(as_if_independent.difference)
    assert grouped.high - grouped.low > 1.4 * (as_if_independent.high - as_if_independent.low)
    wide, narrow = (pigeonhole_interval(d) for d in (by_group(copies), copies._replace(groups=None)))
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_means_of_seeds_stay_where_groups_are_of_unequal_size() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), generator.integers(1, 9, 12))
    values = generator.normal(0.1, 1.0, (3, len(groups)))
    units = by_group(Differences.of_matrix(values)._replace(groups=np.tile(groups, 3)))
    assert np.bincount(units.seeds, weights=units.values) / 12 == pytest.approx(values.mean(axis=1))


def test_the_interval_errs_as_seldom_as_it_says() -> None:
    """Groups of 1 to 20 images with an effect of their own: 95 % intervals hold 0 in about that share of samples."""
    generator = np.random.default_rng(1)
    held, samples = 0, 400
    for _ in range(samples):
        groups = np.repeat(np.arange(50), generator.integers(1, 21, 50))
        rest = generator.normal(0, 1, (6, len(groups)))
        values = generator.normal(0, 1, 50)[groups] + generator.normal(0, 0.2, (6, 1)) + rest
        found = crossed_test(by_group(Differences.of_matrix(values)._replace(groups=np.tile(groups, 6))))
        held += found.low <= 0 <= found.high
    assert 0.91 <= held / samples <= 0.985


def test_tables_count_groups(tmp_path: Path, write_run: WriteRun) -> None:
    groups = np.arange(40) // 4
    for seed in range(6):
        write_run("head", seed=seed, right=10, groups=groups)
        write_run("full", seed=seed, right=22 + seed % 2, groups=groups)
    found = compare(tmp_path, "--baseline", "head")
    (row,) = found["tables"]["verdict"]["rows"]
    # images 10 to 21 or 22 are gained: in groups 2 to 5
    assert (row["images"], row["groups"], row["images_apart"]) == (40, 10, 4)
    assert row["basis"] == "seeds and groups of images"
    assert row["verdict"] == "underpowered (needs 15 groups of test images)"  # 6 of 4 in 10
    (row,) = found["tables"]["images"]["rows"]
    assert (row["images"], row["groups"], row["better"], row["worse"]) == (40, 10, 4, 0)
    notes = [found["tables"][name]["note"] for name in ("verdict", "images")]
    assert all("whole groups are resampled and counted in place of images" in note for note in notes)
    assert "groups of images" in found["tables"]["verdict"]["text"]["head"]


def test_records_without_the_groups_of_their_setting_are_named(tmp_path: Path, write_run: WriteRun) -> None:
    for method in ("head", "full"):
        write_run(method, seed=0, right=10, settings={"dataset.options": {"group": r"(p\d+)_"}})
    found = compare(tmp_path, "--baseline", "head")
    assert any(note.startswith("digits has groups of images (dataset.options.group)") for note in found["notes"])
