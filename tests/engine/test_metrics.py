"""Metrics against torchmetrics, scikit-learn and formulas written out."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss, top_k_accuracy_score
from torchmetrics.functional import classification as torchmetrics

from hma_ft.engine.metrics import evaluate_predictions
from hma_ft.errors import UserError


def draw(count: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random probabilities that are better than chance, and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, classes)
    return logits.softmax(1), labels


def names(classes: int) -> list[str]:
    return [f"class {i}" for i in range(classes)]


def ece_by_hand(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    confidence, guess = probabilities.max(1), probabilities.argmax(1)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            total += inside.mean() * abs((guess == labels)[inside].mean() - confidence[inside].mean())
    return total


def test_agrees_with_scikit_learn() -> None:
    probabilities, labels = draw(2000, 12)
    metrics = evaluate_predictions(probabilities, labels, names(12))
    p, y = probabilities.double().numpy(), labels.numpy()
    assert metrics.top1 == pytest.approx((p.argmax(1) == y).mean(), abs=1e-7)
    assert metrics.top5 == pytest.approx(top_k_accuracy_score(y, p, k=5), abs=1e-7)
    assert metrics.mean_per_class == pytest.approx(balanced_accuracy_score(y, p.argmax(1)), abs=1e-7)
    assert metrics.nll == pytest.approx(log_loss(y, p / p.sum(1, keepdims=True)), abs=1e-6)
    assert metrics.ece == pytest.approx(ece_by_hand(p, y), abs=1e-6)
    np.testing.assert_array_equal(metrics.confusion.numpy(), confusion_matrix(y, p.argmax(1)))
    assert metrics.confusion.dtype == torch.int64
    assert sum(row.images for row in metrics.per_class) == 2000
    assert sum(row.correct for row in metrics.per_class) == round(metrics.top1 * 2000)


@pytest.mark.parametrize("classes", [2, 5, 47])
@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "ties"])
def test_equals_torchmetrics_in_every_digit(classes: int, rounded: bool) -> None:
    """Recorded numbers were computed by torchmetrics once."""
    probabilities, labels = draw(1500, classes, seed=classes)
    if rounded:  # equal probabilities, some of them 1
        probabilities = ((probabilities * 4).round() + 1e-3).double()
        probabilities = (probabilities / probabilities.sum(1, keepdim=True)).float()
        probabilities[:20] = torch.eye(classes)[labels[:20]]
    metrics = evaluate_predictions(probabilities, labels, names(classes))
    scores = probabilities.double().clamp(0, 1)
    accuracies = {
        k: torchmetrics.multiclass_accuracy(scores, labels, num_classes=classes, average="micro", top_k=k)
        for k in (1, min(5, classes))
    }
    assert (metrics.top1, metrics.top5) == (float(accuracies[1]), float(accuracies[min(5, classes)]))
    assert metrics.ece == float(torchmetrics.multiclass_calibration_error(scores, labels, classes, n_bins=15))
    expected = torchmetrics.multiclass_confusion_matrix(scores, labels, num_classes=classes)
    assert torch.equal(metrics.confusion, expected)
    assert [row.correct for row in metrics.per_class] == expected.diag().tolist()


def test_class_without_images_is_left_out_of_the_mean_even_if_predicted() -> None:
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]])
    labels = torch.tensor([0, 0, 1, 1])  # class 2 was predicted once and does not occur
    metrics = evaluate_predictions(probabilities, labels, names(3))
    assert metrics.mean_per_class == pytest.approx((0.5 + 1.0) / 2)
    assert metrics.per_class[2].images == 0 and math.isnan(metrics.per_class[2].accuracy)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_top5_with_fewer_classes_is_one(classes: int) -> None:
    probabilities, labels = draw(50, classes)
    metrics = evaluate_predictions(probabilities, labels, names(classes))
    assert metrics.top5 == 1.0
    assert metrics.confusion.shape == (classes, classes)


def test_confidence_of_exactly_one_and_rounding_above_it() -> None:
    """A float32 softmax may give 1.0000001, which is still a certain prediction."""
    probabilities, labels = draw(300, 6, seed=1)
    expected = evaluate_predictions(probabilities, labels, names(6)).ece
    sure = torch.eye(6)[labels[:1]] * 1.0000001
    metrics = evaluate_predictions(torch.cat([probabilities, sure]), torch.cat([labels, labels[:1]]), names(6))
    assert metrics.ece == pytest.approx(expected * 300 / 301, abs=1e-6)  # the sure and right row adds no error


def test_zero_probability_of_the_true_class_gives_a_finite_nll() -> None:
    metrics = evaluate_predictions(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([1, 0]), names(2))
    assert metrics.nll == pytest.approx(-math.log(torch.finfo(torch.float32).tiny) / 2)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (torch.ones(3, 2) / 2, torch.zeros(2, dtype=torch.int64), r"\[3, 2\] do not fit 2 labels"),
        (torch.ones(0, 2), torch.zeros(0, dtype=torch.int64), "no predictions"),
    ],
)
def test_refuses(probabilities: torch.Tensor, labels: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate_predictions(probabilities, labels, names(2))


def test_refuses_what_is_not_finite() -> None:
    with pytest.raises(UserError, match=r"1 of 2 .* row 1.* optimizer\.lr"):
        evaluate_predictions(torch.tensor([[0.5, 0.5], [math.nan, 0.5]]), torch.tensor([0, 1]), names(2))
