"""Linear discriminant analysis: the classes are Gaussians with one covariance, which is shrunk."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.methods.choose import Solution
from hma_ft.methods.closed_form import FromSums, cholesky
from hma_ft.methods.options import FRACTION, Kind, either, list_of, one_of, read_options

NO_VARIATION = 1e-13  # share of the squares that rounding leaves where the images of a class are all the same
KS = "ks"  # the shrinkage of Wang et al., which has nothing to choose


class LDA(FromSums):
    """W = mu Sigma^-1, b = log prior - mu Sigma^-1 mu / 2, mu being the means of the classes.

    `options`:
        shrinkage: `ks`, Sigma = ((N - 1) S + tr(S) I) / D with S the covariance within classes (Wang et al., A
            hard-to-beat baseline for training-free CLIP-based adaptation, ICLR 2024, after Kubokawa and Srivastava);
            or numbers s from 0 to 1, one or several to choose from, Sigma = (1 - s) S + s tr(S) I / D, as
            scikit-learn has them.
        prior: `uniform`, as in the paper, or `empirical`, the shares of the classes in train.
    """

    hyperparameter = "shrinkage"

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        kinds: dict[str, Kind] = {
            "shrinkage": either(one_of(KS), either(FRACTION, list_of(FRACTION))),
            "prior": one_of("uniform", "empirical"),
        }
        options = read_options(config, kinds)
        shrinkage: Any = options["shrinkage"]
        candidates = [0.0] if shrinkage == KS else shrinkage if isinstance(shrinkage, list) else [shrinkage]
        super().__init__(backbone, num_classes, config, soft_labels, candidates=candidates)
        self.ks, self.uniform = shrinkage == KS, options["prior"] == "uniform"

    def solutions(self, values: Sequence[float]) -> Iterator[Solution]:
        """One for each shrinkage under which the covariance can be inverted."""
        sums = self.sums
        scatter = sums.within_scatter()
        means = sums.class_means + sums.origin
        prior = torch.zeros_like(sums.counts)
        if not self.uniform:
            prior = (sums.counts.clamp_min(1) / sums.counts.sum()).log()
        for value in values:
            factor = self._factor(scatter, value)
            if factor is not None:
                weight = torch.cholesky_solve(means.T, factor).T
                yield Solution(value, weight, prior - (weight * means).sum(1) / 2)

    def unsolvable(self, values: Sequence[float]) -> UserError:
        """Too few images, or too little shrinkage for their number."""
        images, classes = len(self.sums), int((self.sums.counts > 0).sum())
        if self._spare == 0 or self.ks:
            return UserError(
                f"method={self.name} can't be fitted: {images} training images of {classes} classes do not vary within "
                "their class; give classes two different images, or take method=ncm or ridge"
            )
        listed = ", ".join(f"{value:g}" for value in values)
        return UserError(
            f"method={self.name} can't be fitted with method.options.shrinkage={listed}: the covariance of "
            f"{self.sums.width} features from {images} images of {classes} classes is singular; "
            f"give a larger shrinkage, or {KS}"
        )

    @property
    def _spare(self) -> int:
        """Degrees of freedom within the classes: images less classes."""
        return len(self.sums) - int((self.sums.counts > 0).sum())

    def _factor(self, scatter: Tensor, shrinkage: float) -> Tensor | None:
        """The Cholesky factor of Sigma; None if it can't be inverted."""
        count, width, trace = len(self.sums), self.sums.width, scatter.trace()
        if self._spare == 0 or trace <= NO_VARIATION * self.sums.gram.trace():
            return None
        identity = torch.eye(width, dtype=scatter.dtype, device=scatter.device)
        if self.ks:
            return cholesky((scatter + trace / (count - 1) * identity) / width)
        if shrinkage == 0 and self._spare < width:
            return None  # rounding might let it pass
        return cholesky(((1 - shrinkage) * scatter + shrinkage * trace / width * identity) / count)
