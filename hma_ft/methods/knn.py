"""k nearest neighbours on frozen features: what the features are worth without any training."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.hma.bank import FeatureBank
from hma_ft.methods.base import LabelledFeatures, Memory, Method, joined
from hma_ft.methods.neighbours import unit, vote


class KNN(Method):
    """Neighbours are the training split's; k and temperature are chosen on val, by accuracy, then likelihood."""

    fits = True
    takes_new_classes = True

    k: Tensor
    temperature: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        self.bank = FeatureBank(backbone.width)
        self.choices = list(itertools.product(config.options["k"], config.options["temperature"]))
        self.register_buffer("k", torch.tensor(self.choices[0][0]))
        self.register_buffer("temperature", torch.tensor(float(self.choices[0][1])))
        self._held: tuple[int, float] | None = None  # k and temperature as numbers, read from the device once

    def fit(self, train: LabelledFeatures, val: LabelledFeatures, later: LabelledFeatures | None) -> None:
        """Store the training features, those of later classes among them, and choose k and temperature."""
        self.bank.set(*unit(train if later is None else joined(train, later)))
        best = (-1.0, 0.0)
        for k, temperature in self.choices:
            log_probabilities = self._log_vote(val.features, None, k, temperature)
            accuracy = (log_probabilities.argmax(1) == val.labels).double().mean().item()
            likelihood = -functional.nll_loss(log_probabilities, val.labels).item()
            if (accuracy, likelihood) > best or best[0] < 0:
                best = (accuracy, likelihood)
                self.k.fill_(k)
                self.temperature.fill_(temperature)

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> log-probabilities [B, C]; an image with an id is no neighbour of its own."""
        return self._log_vote(features, ids, *(self._held or (int(self.k), float(self.temperature))))

    @contextmanager
    def inference(self, mode: str) -> Iterator[None]:
        """Predict with k and temperature as they are now."""
        self._held = (int(self.k), float(self.temperature))
        try:
            yield
        finally:
            self._held = None

    def memories(self, mode: str) -> dict[str, Memory]:
        """The neighbours."""
        return {"neighbours": self.bank}

    def add_to_memories(self, added: LabelledFeatures, mode: str) -> None:
        """Further neighbours; k and temperature stay."""
        self.bank.add(*unit(added))

    def add_classes(self, number: int) -> None:
        """Room for classes that the run did not know."""
        self.num_classes += number

    def _log_vote(self, features: Tensor, ids: Tensor | None, k: int, temperature: float) -> Tensor:
        return vote(features, ids, self.bank, num_classes=self.num_classes, k=k, temperature=temperature).log()
