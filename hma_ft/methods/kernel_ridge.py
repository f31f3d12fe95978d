"""Kernel ridge regression on a frozen backbone: a memory of all training images that every image reads."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.choose import Choice, Solution, choose
from hma_ft.methods.closed_form import cholesky, free_bytes
from hma_ft.methods.closed_form_of_images import ClosedFormOfImages
from hma_ft.methods.options import POSITIVE, list_of, read_options

COPIES = 4  # of the Gram matrix that a solution holds at once: it, distances, it with the ridge, its factor
LEAST_DISTANCE = 1e-12  # where all training images are the same


class KernelRidge(ClosedFormOfImages):
    """logits = scale * (sum over training images i of k(h, h_i) a_i + prior), with K the kernel among these images,

        k(h, h') = exp(-gamma |h - h'| / d),   a = (K + ridge I)^-1 (onehot - prior),   prior = shares of the classes,

    d being the root mean squared distance between two training images. The kernel is Laplace's (Belkin, Ma and Mandal,
    To understand deep learning we need to understand kernel learning, ICML 2018); what it predicts is the mean of a
    Gaussian process (Rasmussen and Williams, Gaussian processes for machine learning, 2006, section 2.2). It is also
    attention over all training images, without softmax and with values that are solved for; nearest neighbours and
    cache models take the labels for values.

    `options`: gamma and ridge, the values that val chooses from. Distances are computed without products of vectors,
    which would lose half their digits where images are alike; an exported graph has no other way.
    """

    hyperparameter = "ridge"

    gamma: Tensor
    distance: Tensor

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        options = read_options(config, {"gamma": list_of(POSITIVE), "ridge": list_of(POSITIVE)})
        super().__init__(backbone, num_classes, config, soft_labels, candidates=options["ridge"])
        self.gammas = [float(value) for value in options["gamma"]]
        self.weight = self.weight[:, :0]  # a column for each training image
        self.register_buffer("gamma", torch.tensor(self.gammas[0], dtype=torch.float64))
        self.register_buffer("distance", torch.ones((), dtype=torch.float64))

    def lift(self, features: Tensor) -> Tensor:
        """The kernel of features float64 [B, D] with all training images, [B, N]."""
        distances = _distances(features, self.bank.features.double())
        return (distances * (-self.gamma / self.distance)).exp()

    def lookup_features(self, features: Tensor) -> Tensor:
        """The features themselves: their distances are what the kernel sees."""
        return features

    def solutions(self, values: Sequence[float]) -> Iterator[Solution]:
        """One for each ridge under which the matrix is positive definite in double precision, with gamma as it is."""
        self._require_room()
        features = self.bank.features.double()
        self.distance = (2 * features.var(0, correction=0).sum()).sqrt().clamp_min(LEAST_DISTANCE)
        members = functional.one_hot(self.bank.labels, self.num_classes).double()
        prior = members.mean(0)
        gram = self.lift(features)
        identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        for ridge in values:
            factor = cholesky(gram + ridge * identity)
            if factor is not None:
                yield Solution(ridge, torch.cholesky_solve(members - prior, factor).T, prior)

    def choose(self, val: LabelledFeatures) -> Choice | None:
        """Gamma and ridge by what val says of both."""
        best: tuple[Choice, float] | None = None
        for gamma in self.gammas:
            self.gamma.fill_(gamma)
            found = choose(self.solutions(self.candidates), val, self.class_counts > 0, lift=self.lift)
            if found is not None and (best is None or found.score > best[0].score):
                best = found, gamma
        if best is None:
            return None
        self.gamma.fill_(best[1])
        return best[0]

    @property
    def chosen(self) -> dict[str, float]:
        """Ridge and gamma."""
        return super().chosen | ({"gamma": float(self.gamma)} if len(self.gammas) > 1 else {})

    def _require_room(self) -> None:
        """UserError unless the Gram matrix and its factors fit into free memory."""
        needed, free = 8 * COPIES * len(self.bank) ** 2, free_bytes(self.weight.device)
        if needed > free:
            raise UserError(
                f"method={self.name} needs {needed / 2**30:.1f} GiB of memory for {len(self.bank)} training images, of "
                f"{free / 2**30:.1f}: take method=ranpac"
            )

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Give the weights [C, N] the size of what was saved."""
        saved = state_dict.get(prefix + "weight")
        if saved is not None and len(saved) == len(self.weight):
            self.weight = self.weight.new_empty(saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _distances(features: Tensor, rows: Tensor) -> Tensor:
    """Euclidean distances [B, N] of float64 [B, D] to [N, D]; in an exported graph by products: ONNX has no others."""
    if not torch.compiler.is_exporting():
        return torch.cdist(features, rows, compute_mode="donot_use_mm_for_euclid_dist")
    squares = features.square().sum(1, keepdim=True) + rows.square().sum(1) - 2 * features @ rows.T
    return squares.clamp_min(0).sqrt()
