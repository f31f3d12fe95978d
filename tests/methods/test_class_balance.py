"""Losses for unequal classes, against the formulas and torch."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.config.schema import ClassWeights, TrainerConfig
from hma_ft.methods.class_balance import ClassBalance

LABELS = torch.arange(3).repeat_interleave(torch.tensor([60, 30, 10]))


def created(labels: Tensor = LABELS, classes: int = 3, **settings: object) -> ClassBalance:
    balance = ClassBalance.create(labels, classes, TrainerConfig(**settings), torch.device("cpu"))  # type: ignore[arg-type]
    assert balance is not None
    return balance


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(100, 3, generator=torch.Generator().manual_seed(0))


def test_weights_are_inverse_to_counts_and_1_in_the_mean(logits: Tensor) -> None:
    balance = created(class_weights=ClassWeights.balanced)
    assert balance.weights is not None
    torch.testing.assert_close(balance.weights * torch.tensor([60.0, 30.0, 10.0]), torch.full((3,), 100 / 3))
    assert balance.weights[LABELS].mean() == pytest.approx(1)
    # over all training images the mean of images is torch's weighted mean, and the mean of the classes' means
    means = [functional.cross_entropy(logits[label == LABELS], LABELS[label == LABELS]) for label in range(3)]
    torch.testing.assert_close(balance.loss(logits, LABELS), torch.stack(means).mean())
    torch.testing.assert_close(
        balance.loss(logits, LABELS), functional.cross_entropy(logits, LABELS, weight=balance.weights)
    )


def test_class_ids_are_probabilities_of_one(logits: Tensor) -> None:
    balance = created(class_weights=ClassWeights.balanced, logit_adjustment=0.5)
    soft = functional.one_hot(LABELS, 3).float()
    torch.testing.assert_close(balance.loss(logits, LABELS), balance.loss(logits, soft))
    halves = torch.stack([balance.loss(logits[part], LABELS[part]) for part in (slice(50), slice(50, 100))])
    torch.testing.assert_close(halves.mean(), balance.loss(logits, LABELS))


def test_logit_adjustment_is_the_papers(logits: Tensor) -> None:
    """Equation 10: -log(pi_y^tau e^f_y / sum pi_k^tau e^f_k)."""
    tau, shares = 1.3, torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    scores = shares**tau * logits.double().exp()
    expected = -(scores.gather(1, LABELS[:, None])[:, 0] / scores.sum(1)).log().mean()
    assert created(logit_adjustment=tau).loss(logits, LABELS).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_class_without_images_keeps_the_loss_finite(logits: Tensor) -> None:
    balance = created(LABELS[:90], class_weights=ClassWeights.balanced, logit_adjustment=1.0)
    assert torch.isfinite(balance.loss(logits, LABELS))


def test_the_plain_loss_by_default() -> None:
    assert ClassBalance.create(LABELS, 3, TrainerConfig(), torch.device("cpu")) is None
