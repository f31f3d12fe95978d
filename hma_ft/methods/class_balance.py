"""What unequal classes change in the loss: class weights, and logit adjustment (Menon et al., ICLR 2021)."""

from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.config.schema import ClassWeights, TrainerConfig


class ClassBalance(NamedTuple):
    """The loss of training; predictions are those of the logits as they are."""

    weights: Tensor | None  # [C], of mean 1 over the training images
    offsets: Tensor | None  # [C], tau times the log of each class's share

    @classmethod
    def create(cls, labels: Tensor, num_classes: int, config: TrainerConfig, device: torch.device) -> Self | None:
        """As the configuration asks for, given the training labels [N]; None: the plain loss.

        A class without images counts as if it had one.
        """
        weighted, tau = config.class_weights is ClassWeights.balanced, config.logit_adjustment
        if not weighted and tau == 0:
            return None
        counts = labels.bincount(minlength=num_classes).clamp_min(1).double()
        weights = (counts.sum() / (num_classes * counts)).float().to(device) if weighted else None
        offsets = (tau * (counts / counts.sum()).log()).float().to(device) if tau else None
        return cls(weights, offsets)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy with class ids [B] or probabilities [B, C], each class with its weight, mean over the batch."""
        if self.offsets is not None:
            logits = logits + self.offsets
        if self.weights is None:
            return functional.cross_entropy(logits, targets)
        if targets.ndim == 1:  # not torch's weighted mean, which micro-batches would change
            return (functional.cross_entropy(logits, targets, reduction="none") * self.weights[targets]).mean()
        return functional.cross_entropy(logits, targets, weight=self.weights)
