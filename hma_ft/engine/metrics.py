"""What is said about a classifier: accuracy, calibration, selective risk and confusion on one split."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hma_ft.engine.risk_coverage import RiskCoverage, risk_coverage
from hma_ft.errors import UserError

ECE_BINS = 15
# The least probability that counts in NLL: the smallest normal float32. A softmax in float32 may underflow to 0, and
# one such image must not make the mean infinite.
LEAST_PROBABILITY = torch.finfo(torch.float32).tiny


class ClassRow(NamedTuple):
    """One class of a split."""

    name: str
    images: int
    correct: int

    @property
    def accuracy(self) -> float:
        """Share of the class's images that were recognised; nan where there are none."""
        return self.correct / self.images if self.images else math.nan


@dataclass(frozen=True)
class Metrics:
    """Figures of one split."""

    top1: float
    top5: float  # top-C where there are fewer than five classes
    mean_per_class: float  # mean of the class accuracies, over the classes that occur
    nll: float  # nats an image
    ece: float  # expected calibration error, 15 equal bins, l1 (Guo et al., ICML 2017)
    risk_coverage: RiskCoverage
    per_class: list[ClassRow]
    confusion: Tensor  # int64 [C, C], row: true class, column: predicted class

    @property
    def aurc(self) -> float:
        """Area under the risk-coverage curve."""
        return self.risk_coverage.area

    def scalars(self, prefix: str) -> dict[str, float]:
        """`{prefix}/top1` and so on, as metrics.jsonl and result.json name them."""
        names = ("top1", "top5", "mean_per_class", "nll", "ece", "aurc")
        return {f"{prefix}/{name}": getattr(self, name) for name in names}


def evaluate_predictions(probabilities: Tensor, labels: Tensor, class_names: Sequence[str]) -> Metrics:
    """Figures from probabilities [N, C] and labels int64 [N].

    Raises ValueError where shapes do not fit or there is no image, UserError where a probability is not finite.
    """
    _check(probabilities, labels, class_names)
    # float64: the means over tens of thousands of images are then exact to all digits that are shown. The clamp: a
    # softmax in float32 may give 1.0000001.
    scores = probabilities.detach().cpu().double().clamp(0.0, 1.0)
    labels = labels.detach().cpu()
    confidence, predicted = scores.max(dim=1)
    hits = predicted == labels
    likeliest = scores.topk(min(5, len(class_names)), dim=1).indices
    confusion = _confusion(predicted, labels, len(class_names))
    per_class = [
        ClassRow(name, int(row.sum()), int(row[i]))
        for i, (name, row) in enumerate(zip(class_names, confusion, strict=True))
    ]
    occurring = [row.accuracy for row in per_class if row.images]
    own = scores.gather(1, labels[:, None])
    return Metrics(
        top1=float(hits.float().mean()),
        top5=float((likeliest == labels[:, None]).any(dim=1).float().mean()),
        mean_per_class=sum(occurring) / len(occurring),
        nll=float(0.0 - own.clamp_min(LEAST_PROBABILITY).log().mean()),  # 0, not -0, where all are certain
        ece=_calibration_error(confidence.float(), hits.float()),
        risk_coverage=risk_coverage(confidence, hits),
        per_class=per_class,
        confusion=confusion,
    )


def _confusion(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Number of images by true class (row) and predicted class (column), int64 [C, C]."""
    return torch.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _calibration_error(confidence: Tensor, hits: Tensor) -> float:
    """Mean over images of |accuracy - confidence| of their bin; a bin holds its lower edge, certainty has its own."""
    edges = torch.linspace(0.0, 1.0, ECE_BINS + 1)
    bins = torch.bucketize(confidence, edges, right=True) - 1
    count, right, sure = (
        torch.zeros(ECE_BINS + 1).scatter_add_(0, bins, values) for values in (torch.ones_like(hits), hits, confidence)
    )
    gap = (right / count - sure / count).nan_to_num().abs()  # 0 where a bin is empty
    return float((gap * (count / count.sum())).sum())


def _check(probabilities: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
    if probabilities.ndim != 2 or probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(
            f"probabilities {list(probabilities.shape)} do not fit {len(labels)} labels and {len(class_names)} classes"
        )
    if len(labels) == 0:
        raise ValueError("no predictions to evaluate")
    bad = (~torch.isfinite(probabilities).all(dim=1)).nonzero()
    if len(bad):
        raise UserError(
            f"{len(bad)} of {len(labels)} predictions are not finite, the first is row {int(bad[0])}: the weights have "
            "diverged; lower optimizer.lr, set trainer.clip_grad_norm or, in a lower precision, use "
            "trainer.precision=fp32"
        )
