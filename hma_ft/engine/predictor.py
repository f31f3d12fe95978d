"""From images to class probabilities, with a method as it is now and in the arithmetic of its run."""

from contextlib import AbstractContextManager

import torch
from accelerate import Accelerator
from torch import Tensor

from hma_ft.config.schema import Precision
from hma_ft.engine.autocast import autocast
from hma_ft.methods.base import Method


class Predictor:
    """What predicts images that belong to no data set.

    Attributes:
        precision: the arithmetic in force. The accelerator's own may be another: it keeps one a process.
    """

    def __init__(self, method: Method, accelerator: Accelerator, *, precision: Precision = Precision.fp32) -> None:
        self.method = method
        self.accelerator = accelerator
        self.precision = precision

    def autocast(self) -> AbstractContextManager[object]:
        """A context of the precision in force."""
        return autocast(self.accelerator.device, self.precision)

    @torch.no_grad()
    def features_of(self, images: Tensor) -> Tensor:
        """Features [B, D] of uint8 images [B, 3, S, S], on the device, in single precision at least."""
        self.method.enter_mode(training=False)
        with self.autocast():
            features = self.method.features(images.to(self.accelerator.device))
        return features.float() if features.dtype != torch.float64 else features

    @torch.no_grad()
    def classify(self, features: Tensor, ids: Tensor | None = None) -> Tensor:
        """Probabilities [B, C] on the CPU from features [B, D]; ids as in `Method.classify`."""
        self.method.enter_mode(training=False)
        with self.autocast():
            logits = self.method(features, ids).logits
        return logits.float().softmax(dim=1).cpu()
