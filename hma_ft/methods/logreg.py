"""Multinomial logistic regression on frozen features, solved by L-BFGS: the linear probe without a learning rate."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures, Method, joined
from hma_ft.methods.choose import Solution, choose
from hma_ft.methods.closed_form import as_linear
from hma_ft.methods.options import COUNT, POSITIVE, list_of, one_of, read_options

STRENGTHS = tuple(10 ** (-6 + 11 * step / 44) for step in range(45))  # of C, as in DINOv2
MAX_ITERATIONS = 1000
GRADIENT_TOLERANCE = 1e-10  # largest derivative of the mean loss at which the solver stops
BLOCK_ELEMENTS = 2**24  # of a block of features in float64: 128 MiB
HELD_ELEMENTS = 2**27  # features up to this number are kept in float64 and not converted at every iteration: 1 GiB


class LogReg(Method):
    """logits = W h + b that minimise C * sum of cross-entropies + |W|^2 / 2 over train, in float64.

    The protocol of DINOv2's `eval/log_regression.py`. `options`: C, the values that val chooses from; max_iterations;
    refit, what the final weights are solved from: `train`, or `train_and_val`, after which val says nothing any more.
    """

    fits = True

    weight: Tensor
    bias: Tensor
    value: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        kinds = {"C": list_of(POSITIVE), "max_iterations": COUNT, "refit": one_of("train", "train_and_val")}
        options = read_options(config, kinds)
        super().__init__(backbone, num_classes, config, soft_labels)
        self.strengths, self.max_iterations = sorted(map(float, options["C"])), options["max_iterations"]
        self.learns_from_val = options["refit"] == "train_and_val"
        self.register_buffer("weight", torch.zeros(num_classes, backbone.width, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("value", torch.tensor(self.strengths[0], dtype=torch.float64))

    @torch.no_grad()
    def fit(self, train: LabelledFeatures, val: LabelledFeatures, later: LabelledFeatures | None = None) -> None:
        """Solve for every C and keep what val chooses. Classes that come later stay unknown."""
        value, self.weight, self.bias = fit_logreg(
            train, val, self.num_classes, self.strengths, max_iterations=self.max_iterations
        )
        self.value.fill_(value)

    def refit(self, train: LabelledFeatures, val: LabelledFeatures) -> None:
        """Solve again with the C that was chosen."""
        ids = val.ids + train.ids.max() + 1  # of images, and not of one split
        both = joined(train, val._replace(ids=ids))
        _, self.weight, self.bias = fit_logreg(
            both, val, self.num_classes, [float(self.value)], max_iterations=self.max_iterations
        )

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> logits [B, C]."""
        logits = functional.linear(features.double(), self.weight, self.bias)
        return logits.to(torch.promote_types(features.dtype, torch.float32))

    def linear_classifier(self) -> nn.Linear:
        """The classifier in single precision."""
        return as_linear(self.weight, self.bias)

    @property
    def chosen(self) -> dict[str, float]:
        """C, if there was more than one."""
        return {"C": float(self.value)} if len(self.strengths) > 1 else {}

    def parameter_counts(self) -> tuple[int, int]:
        """None that a step trains; the classifier counts among all."""
        _, total = super().parameter_counts()
        return 0, total + self.weight.numel() + self.bias.numel()


def fit_logreg(
    train: LabelledFeatures,
    val: LabelledFeatures,
    num_classes: int,
    strengths: Sequence[float],
    *,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """The logistic regression whose C val chooses; logits as they are. UserError if train is empty."""
    if len(train.labels) == 0:
        raise UserError("logistic regression can't be fitted: there is no training image")
    present = train.labels.bincount(minlength=num_classes) > 0
    solutions = logistic_regressions(train, present, strengths, max_iterations=max_iterations)
    best = choose(solutions, val, present, fit_scale=False)
    assert best is not None
    return Solution(best.solution.value, *best.solution.scaled(1.0, present))


def logistic_regressions(
    train: LabelledFeatures, present: Tensor, strengths: Sequence[float], *, max_iterations: int = MAX_ITERATIONS
) -> Iterator[Solution]:
    """A solution for each C, from the smallest on; each begins at the one before. Rows of absent classes are 0.

    The features' mean is taken out for the solver's sake: the bias is not penalised, so the solution is the same.
    """
    from scipy.optimize import minimize  # half a second that most runs have no use for

    problem = _Problem(train.features, (present.cumsum(0) - 1)[train.labels], int(present.sum()))
    start = np.zeros(problem.size)
    for strength in sorted(strengths):
        found = minimize(
            problem.loss_and_gradient,
            start,
            args=(1 / (strength * len(train.labels)),),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": max_iterations,
                "maxls": 50,
                "maxfun": 50 * max_iterations,
                "gtol": GRADIENT_TOLERANCE,
                "ftol": 64 * np.finfo(float).eps,
            },
        )
        start = found.x
        weight, bias = problem.unpacked(found.x)
        whole = weight.new_zeros(len(present), weight.shape[1])
        whole_bias = bias.new_zeros(len(present))
        whole[present], whole_bias[present] = weight, bias - weight @ problem.mean
        yield Solution(strength, whole, whole_bias)


class _Problem:
    """Mean cross-entropy of W (h - mean) + b over N images, with a penalty on W."""

    def __init__(self, features: Tensor, labels: Tensor, classes: int) -> None:
        """`labels`: numbers of the classes that occur, 0 to `classes` - 1."""
        rows = max(1, BLOCK_ELEMENTS // max(features.shape[1], classes))
        self.count, self.width, self.classes = len(features), features.shape[1], classes
        self.size = classes * (self.width + 1)
        self.mean = torch.stack([part.double().sum(0) for part in features.split(rows)]).sum(0) / self.count
        if features.numel() <= HELD_ELEMENTS:
            features = features.double() - self.mean
            self.held = True
        else:
            self.held = False
        self.blocks = list(zip(features.split(rows), labels.split(rows), strict=True))

    def unpacked(self, parameters: np.ndarray) -> tuple[Tensor, Tensor]:
        """Weight [C, D] and bias [C] on the features' device."""
        values = torch.from_numpy(parameters).to(self.mean.device)
        return values[: -self.classes].view(self.classes, self.width), values[-self.classes :]

    def loss_and_gradient(self, parameters: np.ndarray, penalty: float) -> tuple[float, np.ndarray]:
        """The loss, with penalty * |W|^2 / 2, and its derivatives."""
        weight, bias = self.unpacked(parameters)
        loss = penalty * weight.square().sum() / 2
        by_weight, by_bias = penalty * weight, torch.zeros_like(bias)
        for features, labels in self.blocks:
            centred = features if self.held else features.double() - self.mean
            log_probabilities = (centred @ weight.T + bias).log_softmax(1)
            loss -= log_probabilities.gather(1, labels[:, None]).sum() / self.count
            residual = log_probabilities.exp() - functional.one_hot(labels, self.classes)
            by_weight = by_weight + residual.T @ centred / self.count
            by_bias += residual.sum(0) / self.count
        gradient = torch.cat([by_weight.flatten(), by_bias])
        return loss.item(), gradient.cpu().numpy()
