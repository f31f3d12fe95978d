"""Kernel ridge regression: a memory of all training images, read through kernel weights, its values solved for."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from analysis.memory_study.split import Fitted, Split, calibrated
from hma_ft.methods.closed_form import cholesky

Kernel = Callable[[Tensor, Tensor], Tensor]  # [A, D], [B, D] -> [A, B]
RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def arc_cosine(one: Tensor, other: Tensor) -> Tensor:
    """The kernel of infinitely many ReLU features (Cho and Saul, NeurIPS 2009): RanPAC's as its width grows."""
    lengths = one.norm(dim=1)[:, None] * other.norm(dim=1)[None]
    cosine = (one @ other.T / lengths).clamp(-1, 1)
    return lengths * ((1 - cosine.square()).clamp_min(0).sqrt() + (math.pi - cosine.arccos()) * cosine) / math.pi


def gaussian(gamma: float, mean_square: float) -> Kernel:
    """exp(-gamma d^2 / mean square): d^2 the squared distance, `mean_square` its mean over pairs of training images."""
    return lambda one, other: (-gamma / mean_square * torch.cdist(one, other).square()).exp()


def laplace(gamma: float, mean_square: float) -> Kernel:
    """exp(-gamma d / root of the mean square)."""
    return lambda one, other: (-gamma / mean_square**0.5 * torch.cdist(one, other)).exp()


def whitened(split: Split, shrinkage: float) -> list[Tensor]:
    """Centred features of train, val and test times (within-class covariance, shrunken)^-1/2; 1: scaled alone."""
    features, members = split.train.features, split.one_hot
    means = members.T @ features / members.sum(0)[:, None]
    centred = features - means[split.train.labels]
    covariance = centred.T @ centred / len(centred)
    isotropic = covariance.trace() / len(covariance) * torch.eye(len(covariance), dtype=covariance.dtype)
    values, vectors = torch.linalg.eigh((1 - shrinkage) * covariance + shrinkage * isotropic)
    whitener, mean = vectors * values.rsqrt(), features.mean(0)
    return [(part.features - mean) @ whitener for part in (split.train, split.val, split.test)]


def mean_square_distance(features: Tensor) -> float:
    """Mean squared distance between two of the features [N, D]."""
    return 2 * features.var(0, correction=0).sum().item()


def kernel_ridge(
    split: Split, features: Sequence[Tensor], kernel: Kernel, name: str, *, left_out: bool = False
) -> Fitted:
    """Kernel ridge regression on features of train, val and test, the ridge chosen on val; in float32."""
    train, val, test = (part.float() for part in features)
    grams = [kernel(part, train) for part in (train, val, test)]
    return solve_kernel_ridge(grams, RIDGES, name, split, left_out=left_out)


def solve_kernel_ridge(
    grams: Sequence[Tensor],
    ridges: Sequence[float],
    name: str,
    split: Split,
    *,
    bias: bool = True,
    left_out: bool = False,
) -> Fitted:
    """The solution for the best ridge, relative to the mean of the Gram matrix' diagonal.

    `grams`: the kernel of train, val and test with train, [N, N], [V, N], [T, N].

    `left_out`: with the prediction of every training image without itself, y_i - a_i / (G^-1)_ii (Rasmussen and
    Williams, Gaussian processes for machine learning, 2006, 5.12).
    """
    gram, val, test = grams
    scale, targets = gram.diagonal().mean(), split.one_hot.to(gram)
    mean = targets.mean(0) if bias else torch.zeros_like(targets[0])
    identity = torch.eye(len(gram), dtype=gram.dtype)
    found: tuple[Fitted, Tensor, Tensor] | None = None
    for ridge in ridges:
        factor = cholesky(gram / scale + ridge * identity)
        if factor is None:
            continue
        dual = torch.cholesky_solve(targets - mean, factor)
        scores = [part @ dual / scale + mean for part in (val, test)]
        fitted = calibrated(scores, f"{name} ridge={ridge:.2g}".strip(), split)
        if found is None or fitted.score > found[0].score:
            found = fitted, factor, dual
    assert found is not None
    fitted, factor, dual = found
    if not left_out:
        return fitted
    inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
    return fitted._replace(left_out=(targets - dual / inverse.square().sum(0)[:, None]).double())
