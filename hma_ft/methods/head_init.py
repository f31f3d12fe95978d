"""A linear head that begins at a solution on the features as they are: LP-FT (Kumar et al., ICLR 2022).

A random head distorts the backbone in the first steps of fine-tuning; one that fits the features already does not.
"""

import torch
from torch import nn

from hma_ft.config.schema import HeadInit
from hma_ft.errors import UserError
from hma_ft.memory.class_sums import ClassSums
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.choose import Solution, choose
from hma_ft.methods.logreg import STRENGTHS, fit_logreg
from hma_ft.methods.ridge import RIDGES, ridge_solutions


@torch.no_grad()
def start_head(layer: nn.Linear, init: HeadInit, train: LabelledFeatures, val: LabelledFeatures) -> None:
    """Give a layer the weights of logistic or ridge regression on train, their hyperparameter chosen on val."""
    solve = {HeadInit.logreg: _logreg, HeadInit.ridge: _ridge}[init]
    solution = solve(train, val, layer.out_features)
    layer.weight.copy_(solution.weight)
    layer.bias.copy_(solution.bias)


def _logreg(train: LabelledFeatures, val: LabelledFeatures, num_classes: int) -> Solution:
    return fit_logreg(train, val, num_classes, STRENGTHS)


def _ridge(train: LabelledFeatures, val: LabelledFeatures, num_classes: int) -> Solution:
    """Scaled to be logits."""
    sums = ClassSums(train.features.shape[1], num_classes).to(train.features.device)
    sums.set(*train)
    present = sums.counts > 0
    best = choose(ridge_solutions(sums, RIDGES), val, present)
    if best is None:
        raise UserError(f"method.head_init=ridge has no solution for {len(sums)} training images")
    return Solution(best.solution.value, *best.solution.scaled(best.scale, present))
