"""Ridge regression on the classes: the closed-form head of few-shot evaluations of representations."""

from collections.abc import Iterator, Sequence

import torch

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.memory.class_sums import ClassSums
from hma_ft.methods.choose import Solution
from hma_ft.methods.closed_form import FromSums, cholesky
from hma_ft.methods.options import POSITIVE, list_of, read_options

RIDGES = tuple(2.0**exponent for exponent in range(-10, 20))  # of lambda, as in big_vision's configurations
BIAS_CONSTANT = 100.0  # the feature that stands for the bias: large, so that the bias is hardly penalised
LEAST_STD = 1e-5  # added to every standard deviation


class Ridge(FromSums):
    """W = (X^T X + lambda I)^-1 X^T Y on standardised features, with a constant feature of 100 and targets +-1.

    The definition of big_vision's `evaluators/fewshot_lsr.py`. `options`: ridge, the values of lambda.
    """

    hyperparameter = "ridge"

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        options = read_options(config, {"ridge": list_of(POSITIVE)})
        super().__init__(backbone, num_classes, config, soft_labels, candidates=options["ridge"])

    def solutions(self, values: Sequence[float]) -> Iterator[Solution]:
        """One for each lambda."""
        return ridge_solutions(self.sums, values)


def ridge_solutions(sums: ClassSums, ridges: Sequence[float]) -> Iterator[Solution]:
    """The classifiers for these lambdas, on the features as they are: standardisation and constant are folded in.

    Standardised features have mean 0, so they are orthogonal to the constant one and the bias is solved by itself.
    """
    count, mean = sums.counts.sum(), sums.mean
    scatter = sums.total_scatter()
    std = (scatter.diagonal().clamp_min(0) / count).sqrt() + LEAST_STD
    gram = scatter / std / std[:, None]
    # X^T Y with Y = 2 onehot - 1: the features sum to 0, so that the -1 adds nothing
    products = 2 * (sums.sums - sums.counts[:, None] * mean) / std  # [C, D]
    identity = torch.eye(sums.width, dtype=gram.dtype, device=gram.device)
    for ridge in ridges:
        factor = cholesky(gram + ridge * identity)
        if factor is None:
            continue
        weight = torch.cholesky_solve(products.T, factor).T / std
        bias = BIAS_CONSTANT**2 * (2 * sums.counts - count) / (BIAS_CONSTANT**2 * count + ridge)
        yield Solution(ridge, weight, bias - weight @ (mean + sums.origin))
