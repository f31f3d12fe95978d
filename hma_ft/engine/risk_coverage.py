"""Selective classification: which images a classifier answers by its confidence, and how often it is then wrong.

Images are answered from the most confident one on. The coverage is the share of images that are answered, the risk the
share of those that are misclassified (Geifman and El-Yaniv, Selective classification for deep neural networks, NeurIPS
2017). Confidence is the probability of the predicted class.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_ROUNDING = 1e-9  # images: 0.55 * 100 in floating point is a little more than 55


class RiskCoverage(NamedTuple):
    """The risk of answering the first 1, 2, ... N images."""

    coverage: Tensor  # float64 [N]: 1/N, 2/N, ... 1
    risk: Tensor  # float64 [N]

    @property
    def area(self) -> float:
        """AURC, the mean risk over all coverages (Geifman, Uziel and El-Yaniv, ICLR 2019); 0 is best."""
        return float(self.risk.mean())


def risk_coverage(confidence: Tensor, correct: Tensor) -> RiskCoverage:
    """Return the curve of N images from their confidence and whether they were recognised, [N] each.

    Images of equal confidence have no order of their own. The curve is the mean over all their orders: errors of a
    group are spread evenly over the group. So it does not depend on the order in which images come.
    """
    confidence, order = confidence.detach().cpu().double().sort(descending=True)
    wrong = (~correct.detach().cpu().bool())[order].double()
    _, sizes = confidence.unique_consecutive(return_counts=True)
    group = torch.arange(len(sizes)).repeat_interleave(sizes)
    share = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, group, wrong) / sizes  # of errors in each group
    answered = torch.arange(1, len(wrong) + 1, dtype=torch.float64)
    return RiskCoverage(answered / len(wrong), share[group].cumsum(0) / answered)


def coverage_threshold(confidence: Tensor, coverage: float) -> float:
    """Return the largest threshold that at least a share `coverage` (above 0) of the images [N] reaches."""
    kept = max(1, math.ceil(coverage * len(confidence) - _ROUNDING))
    return float(confidence.sort(descending=True).values[kept - 1])


def area_tolerance(log_confidence: Tensor, wrong: Tensor, unstable: Tensor, *, move: float) -> float:
    """Return by how much AURC can differ if every log-confidence moves by `move` at most.

    Log-confidence float64 [N]; which images are misclassified, and which may change that, bool [N]. An error at place
    r adds (1/r + ... + 1/N) / N to the area; its place can't leave those of the images within twice the move.
    """
    count = len(log_confidence)
    ascending = log_confidence.sort().values
    first = count - torch.searchsorted(ascending, log_confidence + 2 * move, right=True)  # places from 0
    last = count - 1 - torch.searchsorted(ascending, log_confidence - 2 * move)
    weight = (1 / torch.arange(1, count + 1, dtype=torch.float64)).flip(0).cumsum(0).flip(0) / count
    change = torch.where(wrong, weight[first] - weight[last], 0.0)
    return float(torch.where(unstable, weight[first], change).sum())
