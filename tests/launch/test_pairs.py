"""Overrides that go together, and seeds apart from what is compared."""

import pytest

from hma_ft.errors import UserError
from hma_ft.launch.pairs import with_pairs, without_seeds

JOBS = [["dataset=a", "seed=0"], ["dataset=a", "seed=1"]]


def test_each_list_goes_with_each_job() -> None:
    pairs = [["method=head", "optimizer.lr=0.1"], ["method=lora", "optimizer.lr=0.001"]]
    assert with_pairs(JOBS, pairs) == [[*job, *pair] for job in JOBS for pair in pairs]
    assert with_pairs(JOBS, []) == JOBS


def test_a_setting_has_one_place() -> None:
    with pytest.raises(UserError, match=r"sweep\.pairs gives seed, and so does the command"):
        with_pairs(JOBS, [["seed=1"]])
    with pytest.raises(UserError, match=r"sweep\.pairs: lora is not of the form NAME=VALUE"):
        with_pairs(JOBS, [["lora"]])


def test_jobs_that_differ_in_the_seed_are_one() -> None:
    jobs = [["seed=3", "method=a"], ["seed=5", "method=a"], ["method=b", "seed=3"], ["method=c"]]
    assert without_seeds(jobs) == [(["method=a"], [3, 5]), (["method=b"], [3]), (["method=c"], [])]
    with pytest.raises(UserError, match="seed=x must be a whole number"):
        without_seeds([["seed=x"]])
