"""What val chooses between: classifiers that differ in a hyperparameter. Accuracy decides, then likelihood."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.methods.base import LabelledFeatures

Option = TypeVar("Option")

ABSENT = -1e4  # logit of a class without a training image: probability 0 in single precision
BLOCK_ROWS = 4096  # images whose logits are computed at a time


class Solution(NamedTuple):
    """A linear classifier: scores of x [M] are W x + b."""

    value: float  # of the hyperparameter
    weight: Tensor  # float64 [C, M]
    bias: Tensor  # float64 [C]

    def scaled(self, scale: float, present: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias whose outputs are logits; a class that is not `present` [C] is never predicted."""
        weight = (scale * self.weight).masked_fill(~present[:, None], 0.0)
        return weight, (scale * self.bias).masked_fill(~present, ABSENT)


class Score(NamedTuple):
    """How well val is predicted; compares as a tuple does."""

    accuracy: float
    log_likelihood: float  # mean, nats an image


def add_to_score(score: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Add some images to a score [2], in place: those recognised, and their summed log-likelihood."""
    score[0] += (logits.argmax(1) == labels).sum()
    score[1] -= functional.cross_entropy(logits, labels, reduction="sum")


def best_choice(choices: Sequence[Option], scores: Tensor) -> Option:
    """The choice with the highest of scores [choices, 2]: accuracy decides, then likelihood; of equals the first."""
    return max(zip(choices, scores.tolist(), strict=True), key=lambda scored: scored[1])[0]


def score(logits: Tensor, labels: Tensor) -> Score:
    """The score of logits [N, C] for class ids [N]."""
    accuracy = (logits.argmax(1) == labels).double().mean()
    return Score(accuracy.item(), -functional.cross_entropy(logits.double(), labels).item())


class Choice(NamedTuple):
    """What val has chosen."""

    solution: Solution
    scale: float  # that turns its scores into logits
    score: Score  # with that scale


@torch.no_grad()
def choose(
    solutions: Iterable[Solution],
    val: LabelledFeatures,
    present: Tensor,
    *,
    lift: Callable[[Tensor], Tensor] = lambda features: features,
    fit_scale: bool = True,
) -> Choice | None:
    """The solution that predicts val best; None if there is no solution.

    `present` [C]: classes with training images. `lift` makes x of features float64 [N, D], the same for all solutions,
    and is not called before the first. `fit_scale`: the scores are no logits yet, and val also says by what factor they
    become some.
    """
    best: Choice | None = None
    known = present[val.labels]
    numbers = (present.cumsum(0) - 1)[val.labels[known]]  # among the classes that are present
    lifted = _Lifted(val.features, lift)
    for solution in solutions:
        scores = torch.cat([functional.linear(block, solution.weight, solution.bias) for block in lifted])
        scale = best_scale(scores[known][:, present], numbers) if fit_scale else 1.0
        found = score((scale * scores).masked_fill(~present, ABSENT), val.labels)
        if best is None or found > best.score:
            best = Choice(solution, scale, found)
    return best


class _Lifted:
    """Blocks of lifted features, as often as they are asked for; where one holds all, it is lifted once."""

    def __init__(self, features: Tensor, lift: Callable[[Tensor], Tensor]) -> None:
        self.parts, self.lift = features.split(BLOCK_ROWS), lift
        self.only: Tensor | None = None

    def __iter__(self) -> Iterator[Tensor]:
        if len(self.parts) > 1:
            return (self.lift(part.double()) for part in self.parts)
        if self.only is None:
            self.only = self.lift(self.parts[0].double())
        return iter([self.only])


def best_scale(scores: Tensor, labels: Tensor) -> float:
    """The factor > 0 that makes scores [N, C] the likeliest logits of class ids [N] (Guo et al., ICML 2017).

    It changes no prediction; scores that were fitted to no probability need it for theirs. The labels are smoothed by
    1 / (N + 2), after Platt (1999), so that the factor is finite where all are right.
    """
    from scipy.optimize import minimize_scalar  # half a second that most runs have no use for

    spread = scores.std().item() if scores.numel() > 1 else 0.0
    if not spread > 0 or not math.isfinite(spread):
        return 1.0
    l2_normalize, smoothing = scores.double() / spread, 1 / (len(labels) + 2)

    def loss(log_factor: float) -> float:
        return functional.cross_entropy(l2_normalize * math.exp(log_factor), labels, label_smoothing=smoothing).item()

    return math.exp(minimize_scalar(loss, bounds=(-10.0, 10.0), method="bounded").x) / spread
