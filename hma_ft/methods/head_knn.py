"""A linear head that asks neighbours: the share of each class among the nearest training pictures joins its own.

    p = (1 - weight) softmax(Linear(h)) + weight * vote of the k nearest training pictures

Trained as a linear head; the training pictures join in evaluation. It is the plainest memory of real pictures, with
labels read at the output (as Khandelwal et al., ICLR 2020, for language models, equation 3), and the only method here
that trains and yet can name a class of which no step has seen a picture: its pictures need only be in the bank.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.hma.bank import FeatureBank
from hma_ft.methods.base import LabelledFeatures, Memory, Method
from hma_ft.methods.neighbours import unit, vote


class HeadKNN(Method):
    """`options`: k, temperature and weight, a number between 0 (the head alone) and 1 (the neighbours alone)."""

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        self.k, self.temperature, self.weight = (config.options[name] for name in ("k", "temperature", "weight"))
        _check(self.k, self.temperature, self.weight)
        self.head = nn.Linear(backbone.width, num_classes)
        self.bank = FeatureBank(backbone.width)
        self._asks = False

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> logits [B, C]; in evaluation log-probabilities, with the neighbours."""
        logits = self.head(features)
        if not self._asks:
            return logits
        voted = vote(features, ids, self.bank, num_classes=self.num_classes, k=self.k, temperature=self.temperature)
        return ((1 - self.weight) * logits.softmax(1) + self.weight * voted).log()

    @contextmanager
    def inference(self, mode: str) -> Iterator[None]:
        """Predict with the neighbours."""
        self._asks = True
        try:
            yield
        finally:
            self._asks = False

    def reference_indices(self, mode: str, labels: Tensor) -> Tensor:
        """The whole training split."""
        return torch.arange(len(labels))

    def set_reference(self, reference: LabelledFeatures) -> None:
        """Replace the neighbours."""
        self.bank.set(*unit(reference))

    def memories(self, mode: str) -> dict[str, Memory]:
        """The neighbours."""
        return {"neighbours": self.bank}

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Further neighbours, also of classes that no step has seen."""
        self.bank.add(*unit(added))


def _check(k: int, temperature: float, weight: float) -> None:
    """UserError for an option that is no number of its range."""
    for name, value, fits, wanted in (
        ("k", k, isinstance(k, int) and k >= 1, "a whole number from 1"),
        ("temperature", temperature, isinstance(temperature, (int, float)) and temperature > 0, "a number above 0"),
        ("weight", weight, isinstance(weight, (int, float)) and 0 <= weight <= 1, "a number from 0 to 1"),
    ):
        if not fits:
            raise UserError(f"method.options.{name}={value} must be {wanted}")
