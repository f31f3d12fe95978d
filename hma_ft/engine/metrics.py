"""What is said about a classifier: accuracy, calibration and confusion on one split, mostly by torchmetrics."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

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
    per_class: list[ClassRow]
    confusion: Tensor  # int64 [C, C], row: true class, column: predicted class

    def scalars(self, prefix: str) -> dict[str, float]:
        """`{prefix}/top1` and so on, as metrics.jsonl and result.json name them."""
        names = ("top1", "top5", "mean_per_class", "nll", "ece")
        return {f"{prefix}/{name}": getattr(self, name) for name in names}


def evaluate_predictions(probabilities: Tensor, labels: Tensor, class_names: Sequence[str]) -> Metrics:
    """Figures from probabilities [N, C] and labels int64 [N].

    Raises ValueError where shapes do not fit or there is no image, UserError where a probability is not finite.
    """
    count, classes = _checked(probabilities, labels, class_names)
    # float64: the means over tens of thousands of images are then exact to all digits that are shown. The clamp
    # matters: torchmetrics takes rows with a 1.0000001 for logits and puts a softmax over them.
    scores = probabilities.detach().cpu().double().clamp(0.0, 1.0)
    labels = labels.detach().cpu()
    if classes == 1:  # torchmetrics wants two
        scores, classes = torch.cat([scores, torch.zeros(count, 1, dtype=scores.dtype)], dim=1), 2
    confusion = multiclass_confusion_matrix(scores, labels, num_classes=classes)[: len(class_names), : len(class_names)]
    per_class = [
        ClassRow(name, int(row.sum()), int(row[i]))
        for i, (name, row) in enumerate(zip(class_names, confusion, strict=True))
    ]
    # not torchmetrics' macro average: there a class without images still counts, as 0, once it was predicted
    occurring = [row.accuracy for row in per_class if row.images]
    own = scores[torch.arange(count), labels]
    return Metrics(
        top1=float(multiclass_accuracy(scores, labels, num_classes=classes, average="micro")),
        top5=float(multiclass_accuracy(scores, labels, num_classes=classes, average="micro", top_k=min(5, classes))),
        mean_per_class=sum(occurring) / len(occurring),
        nll=float(0.0 - own.clamp_min(LEAST_PROBABILITY).log().mean()),  # 0, not -0, where all are certain
        ece=float(multiclass_calibration_error(scores, labels, num_classes=classes, n_bins=ECE_BINS, norm="l1")),
        per_class=per_class,
        confusion=confusion,
    )


def _checked(probabilities: Tensor, labels: Tensor, class_names: Sequence[str]) -> tuple[int, int]:
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
            "diverged; lower optimizer.lr, set trainer.clip_grad_norm or use trainer.precision=fp32"
        )
    return len(labels), len(class_names)
