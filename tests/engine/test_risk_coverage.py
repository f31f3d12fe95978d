"""Risk-coverage curves against sums written out, over all orders of equal confidences; thresholds against counts."""

import itertools
import math

import numpy as np
import pytest
import torch

from hma_ft.engine.metrics import evaluate_predictions
from hma_ft.engine.risk_coverage import coverage_threshold, risk_coverage


def area_by_hand(wrong: list[bool]) -> float:
    """Mean over k of the share of errors among the first k."""
    return sum(sum(wrong[:k]) / k for k in range(1, len(wrong) + 1)) / len(wrong)


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_it_is_the_sum_written_out(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    confidence = torch.rand(300, generator=generator, dtype=torch.float64)
    correct = torch.rand(300, generator=generator) < confidence
    found = risk_coverage(confidence, correct)
    ranked = [not correct[i] for i in sorted(range(300), key=lambda i: -confidence[i])]
    assert found.area == pytest.approx(area_by_hand(ranked), abs=1e-12)
    assert found.risk.dtype == torch.float64 and found.coverage[-1] == 1.0
    assert found.risk[-1] == pytest.approx(1 - correct.double().mean())


@pytest.mark.parametrize("seed", range(6))
def test_ties_count_with_the_mean_over_all_their_orders(seed: int) -> None:
    random = np.random.default_rng(seed)
    confidence = random.choice([0.2, 0.5, 0.9], 7)
    correct = random.random(7) < 0.6
    areas = [
        area_by_hand([not correct[i] for i in order])
        for order in itertools.permutations(range(7))
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order))
    ]
    found = risk_coverage(torch.tensor(confidence), torch.tensor(correct))
    assert found.area == pytest.approx(np.mean(areas), abs=1e-12)
    order = random.permutation(7)
    again = risk_coverage(torch.tensor(confidence[order]), torch.tensor(correct[order]))
    assert torch.equal(again.risk, found.risk)


def test_extremes() -> None:
    right, wrong = torch.ones(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool)
    assert risk_coverage(torch.rand(4), right).area == 0.0
    assert risk_coverage(torch.rand(4), wrong).area == 1.0
    useless = risk_coverage(torch.full((4,), 0.5), torch.tensor([True, False, True, False]))
    assert useless.risk.tolist() == pytest.approx([0.5] * 4)


def test_metrics_take_the_probability_of_the_predicted_class() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
    metrics = evaluate_predictions(probabilities, torch.tensor([0, 0, 1]), ["a", "b"])
    assert metrics.scalars("test")["test/aurc"] == pytest.approx((0 + 0 + 1 / 3) / 3)


@pytest.mark.parametrize("coverage", [0.001, 0.07, 0.5, 0.55, 0.7, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("images", [1, 2, 10, 100, 333])
def test_a_threshold_keeps_at_least_the_share_and_no_image_more_than_needed(coverage: float, images: int) -> None:
    confidence = torch.rand(images, generator=torch.Generator().manual_seed(images))
    kept = int((confidence >= coverage_threshold(confidence, coverage)).sum())
    assert kept == max(1, math.ceil(round(coverage * images, 6)))


def test_ties_at_the_threshold_are_kept_together() -> None:
    assert coverage_threshold(torch.tensor([0.9, 0.5, 0.5, 0.5, 0.1]), 0.4) == 0.5
