"""The rest of a sweep in seconds, and what a budget has no room for."""

import dataclasses

import pytest
import torch

from hma_ft.data.views import ViewSeeds, training_views
from hma_ft.launch.candidates import Candidate, ReadViews
from hma_ft.launch.estimate import Pace, Spent, fit_budget, seconds_to_do
from hma_ft.launch.view_costs import Planned, ViewCosts, distinct_views

ENDLESS = ReadViews("a", draws=300)
HEAD = Candidate("method=head", "head", [0, 1], read_views=ENDLESS)
HMA = Candidate("method=hma_head", "hma_head", [0, 1], read_views=ENDLESS)
FULL = Candidate("method=full", "full", [0, 1])
SECONDS = {"method=head": 2.0, "method=hma_head": 5.0, "method=full": 100.0}
PACE = Pace(SECONDS, views=ViewCosts({"a": 0.1}, {"a": 40}, [Planned(HEAD, 0)]))  # 300 views take 30 s


def finite(candidate: Candidate, draws: int = 300) -> Candidate:
    """Reads ten views of each image."""
    return dataclasses.replace(candidate, read_views=ReadViews("a", draws, finite=10))


def test_features_of_a_seed_are_paid_once() -> None:
    attempts = [Planned(c, seed) for c, seed in ((HEAD, 0), (HEAD, 1), (HMA, 0), (HMA, 1), (HMA, 2))]
    assert seconds_to_do(attempts, PACE) == pytest.approx(2 * 2 + 3 * 5 + 2 * 30)
    assert seconds_to_do([Planned(Candidate("method=x", "x", [0]), 0)], PACE) is None


def test_a_trained_backbone_reads_no_stored_features() -> None:
    assert seconds_to_do([Planned(FULL, seed) for seed in range(5)], PACE) == pytest.approx(500)


@pytest.mark.parametrize(
    ("images", "draws", "seeds"),
    [(2000, 320, 12), (500, 320, 12), (100, 320, 3), (40, 320, 5), (10, 320, 5), (2000, 320, 1)],
)
def test_finite_views_of_several_seeds_are_counted_as_a_draw_counts_them(images: int, draws: int, seeds: int) -> None:
    labels = torch.zeros(images, dtype=torch.long)
    numbers = ViewSeeds(0, finite=10, contents=[str(sample) for sample in range(images)])
    read = {
        (sample, numbers.number(epoch))
        for seed in range(seeds)
        for step in training_views(labels, batch_size=32, seed=seed, start_step=0, num_steps=draws // 32)
        for epoch, sample in step
    }
    expected = distinct_views(dict.fromkeys(range(seeds), float(draws)), images=images, finite=10)
    assert expected == pytest.approx(len(read), rel=0.06)


def test_finite_views_are_paid_once_for_all_seeds() -> None:
    all_of_them = finite(HEAD, draws=400)
    costs = ViewCosts()
    costs.learn(Planned(all_of_them, 100), 30.0, images=40)
    attempts = [Planned(finite(candidate), seed) for candidate in (HEAD, HMA) for seed in (5, 6)]
    assert seconds_to_do(attempts, Pace(SECONDS, views=costs)) == pytest.approx(2 * 2 + 2 * 5)
    longer = Planned(finite(HEAD, draws=4000), 7)  # there are no more than these 400 views
    assert costs.of([longer]) == pytest.approx(0)


def test_a_short_trial_that_read_all_finite_views_leaves_none_to_pay() -> None:
    costs = ViewCosts()
    costs.learn(Planned(finite(HEAD, draws=3600), 100, share=1 / 9), 100.0, images=40)
    assert costs.of([Planned(finite(HEAD, draws=3600), 100)]) == pytest.approx(0)


def test_what_a_trial_found_in_the_store_is_no_cost_of_the_next() -> None:
    paid = Spent(wall=75.0, features=30.0, training=2.0, evaluation=40.0)
    read = Spent(wall=5.0, features=30.0, training=2.0, evaluation=40.0)
    features_only = Spent(wall=35.0, features=30.0, training=2.0, evaluation=40.0)
    assert [s.own for s in (paid, read, features_only)] == [5.0, 5.0, 5.0]


def test_the_dearest_go_first_and_the_baseline_stays() -> None:
    attempts = [Planned(c, seed) for c in (HEAD, HMA, FULL) for seed in (0, 1)]
    left_out, kept = fit_budget(attempts, PACE, seconds=60.0, baseline="head")
    assert left_out == [FULL] and [trial.candidate for trial in kept] == [HEAD, HEAD, HMA, HMA]
    left_out, kept = fit_budget(attempts, PACE, seconds=1.0, baseline="head")
    assert left_out == [FULL, HMA] and [trial.candidate for trial in kept] == [HEAD, HEAD]
    assert fit_budget(attempts, PACE, seconds=1e4, baseline="head") == ([], attempts)


def test_a_short_trial_costs_its_share_of_the_steps_and_of_the_features() -> None:
    costs = ViewCosts({"a": 0.1}, {"a": 40}, [Planned(HEAD, 0, 1 / 3)])
    known = Pace({"method=head": 12.0}, {"method=head": 9.0}, costs)
    assert seconds_to_do([Planned(HEAD, 0, 1 / 3)], known) == pytest.approx(3 + 9 / 3)
    assert seconds_to_do([Planned(HEAD, 0, 1 / 3), Planned(HEAD, 0)], known) == pytest.approx(6 + 12 + 30 * 2 / 3)
    assert seconds_to_do([Planned(HEAD, 1, 1 / 9)], known) == pytest.approx(3 + 1 + 30 / 9)
