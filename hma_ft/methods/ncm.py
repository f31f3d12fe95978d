"""Nearest class mean: an image has the class whose mean feature is nearest."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.methods.choose import BLOCK_ROWS, Solution
from hma_ft.methods.closed_form import as_linear
from hma_ft.methods.closed_form_of_images import ClosedFormOfImages
from hma_ft.methods.options import one_of, read_options


class NCM(ClosedFormOfImages):
    """logits = -scale * |x - m_c|^2, x being the feature after a transform, m_c its mean over class c.

    Wang et al., SimpleShot, arXiv 1911.04623. `options`: transform, one of
        cl2n: x = (h - mean of train) / |h - mean of train|,
        l2n: x = h / |h|,
        un: x = h, which makes the classifier linear.
    The mean of train moves with every image that is added, so the features themselves are kept and not sums.
    """

    centre: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        options = read_options(config, {"transform": one_of("cl2n", "l2n", "un")})
        super().__init__(backbone, num_classes, config, soft_labels)
        self.centres, self.normalises = options["transform"] == "cl2n", options["transform"] != "un"
        self.register_buffer("centre", torch.zeros(backbone.width, dtype=torch.float64))

    def lift(self, features: Tensor) -> Tensor:
        """The transform."""
        return functional.normalize(features - self.centre, dim=1) if self.normalises else features

    def solutions(self, values: Sequence[float]) -> Iterator[Solution]:
        """The one that there is: |x|^2 is the same for all classes and left out."""
        blocks = list(zip(self.bank.features.split(BLOCK_ROWS), self.bank.labels.split(BLOCK_ROWS), strict=True))
        if self.centres:
            self.centre = sum((part.double().sum(0) for part, _ in blocks), self.centre * 0) / len(self.bank)
        sums = self.weight.new_zeros(self.num_classes, len(self.centre))
        for part, labels in blocks:
            members = functional.one_hot(labels, self.num_classes).double()
            sums += members.T @ self.lift(part.double())
        means = sums / self.class_counts.clamp_min(1)[:, None]
        yield Solution(values[0], 2 * means, -means.square().sum(1))

    def linear_classifier(self) -> nn.Linear | None:
        """The classifier, where the transform leaves the features as they are."""
        return None if self.normalises else as_linear(self.weight, self.bias)
