"""The rest of a sweep in seconds, and what a budget has no room for."""

import dataclasses

import pytest

from hma_ft.launch.candidates import Candidate
from hma_ft.launch.estimate import Pace, Planned, Spent, fit_budget, seconds_to_do

HEAD = Candidate("method=head", "head", [0, 1], views="a")
HMA = Candidate("method=hma_head", "hma_head", [0, 1], views="a")
FULL = Candidate("method=full", "full", [0, 1], views="a")
PACE = Pace({"method=head": 2.0, "method=hma_head": 5.0, "method=full": 100.0}, {"a": 30.0}, {("a", 0): 1.0})


def test_features_of_a_seed_are_paid_once() -> None:
    attempts = [Planned(c, seed) for c, seed in ((HEAD, 0), (HEAD, 1), (HMA, 0), (HMA, 1), (HMA, 2))]
    assert seconds_to_do(attempts, PACE) == pytest.approx(2 * 2 + 3 * 5 + 2 * 30)
    assert seconds_to_do([Planned(Candidate("method=x", "x", [0]), 0)], PACE) is None


def test_finite_views_are_paid_once_for_all_seeds() -> None:
    shared = [dataclasses.replace(candidate, seeds_share_views=True) for candidate in (HEAD, HMA)]
    attempts = [Planned(candidate, seed) for candidate in shared for seed in (5, 6)]
    assert seconds_to_do(attempts, PACE) == pytest.approx(2 * 2 + 2 * 5)
    nothing_stored = dataclasses.replace(PACE, computed={})
    assert seconds_to_do(attempts, nothing_stored) == pytest.approx(2 * 2 + 2 * 5 + 30)


def test_what_a_trial_found_in_the_store_is_no_cost_of_the_next() -> None:
    paid = Spent(wall=75.0, features=30.0, training=2.0, evaluation=40.0, takes_steps=True)
    read = Spent(wall=5.0, features=30.0, training=2.0, evaluation=40.0, takes_steps=True)
    features_only = Spent(wall=35.0, features=30.0, training=2.0, evaluation=40.0, takes_steps=True)
    trains_all = Spent(wall=200.0, features=0.0, training=150.0, evaluation=40.0, takes_steps=True)
    assert [s.own for s in (paid, read, features_only, trains_all)] == [5.0, 5.0, 5.0, 200.0]


def test_the_dearest_go_first_and_the_baseline_stays() -> None:
    attempts = [Planned(c, seed) for c in (HEAD, HMA, FULL) for seed in (0, 1)]
    left_out, kept = fit_budget(attempts, PACE, seconds=60.0, baseline="head")
    assert left_out == [FULL] and [trial.candidate for trial in kept] == [HEAD, HEAD, HMA, HMA]
    left_out, kept = fit_budget(attempts, PACE, seconds=1.0, baseline="head")
    assert left_out == [FULL, HMA] and [trial.candidate for trial in kept] == [HEAD, HEAD]
    assert fit_budget(attempts, PACE, seconds=1e4, baseline="head") == ([], attempts)


def test_a_short_trial_costs_its_share_of_the_steps_and_of_the_features() -> None:
    known = Pace({"method=head": 12.0}, {"a": 30.0}, {("a", 0): 1 / 3}, {"method=head": 9.0})
    assert seconds_to_do([Planned(HEAD, 0, 1 / 3)], known) == pytest.approx(3 + 9 / 3)
    assert seconds_to_do([Planned(HEAD, 0, 1 / 3), Planned(HEAD, 0)], known) == pytest.approx(6 + 12 + 30 * 2 / 3)
    assert seconds_to_do([Planned(HEAD, 1, 1 / 9)], known) == pytest.approx(3 + 1 + 30 / 9)
