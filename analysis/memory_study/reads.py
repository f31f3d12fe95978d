"""Reads of a memory of training images other than kernel ridge regression."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from analysis.memory_study.kernels import arc_cosine, whitened
from analysis.memory_study.split import Fitted, Split, best, calibrated, log_shares, unit
from hma_ft.methods.closed_form import cholesky

SHRINKAGES = (0.03, 0.1, 0.3, 1.0)
INVERSE_TEMPERATURES = (5.0, 10.0, 20.0, 40.0, 80.0)


def whitened_attention(split: Split) -> Fitted:
    """softmax(beta cos(W q, W k)) over all training images, values their labels; W whitens within classes."""
    candidates = []
    for shrinkage in SHRINKAGES:
        train, val, test = map(unit, whitened(split, shrinkage))
        similarities = val @ train.T, test @ train.T
        candidates += _label_reads(similarities, f"s={shrinkage}", split)
    return best(candidates)


def random_feature_attention(split: Split, ridge: float = 0.1) -> Fitted:
    """The same read with keys (G + ridge)^-1/2 x, x infinitely many random features of the centred feature.

    Their inner products are (k(q, k') - k_q^T (K + ridge)^-1 k_k') / ridge, K being the arc-cosine kernel.
    """
    train, val, test = whitened(split, 1.0)
    scale = train.square().sum(1).mean()
    gram = arc_cosine(train, train) / scale
    factor = cholesky(gram + ridge * torch.eye(len(gram), dtype=gram.dtype))
    assert factor is not None
    solved = torch.cholesky_solve(gram, factor)
    lengths = (gram - gram @ solved).diagonal().clamp_min(1e-12).sqrt()
    similarities = []
    for part in (val, test):
        across = arc_cosine(part, train) / scale
        explained = torch.linalg.solve_triangular(factor, across.T, upper=False).square().sum(0)
        own = (part.square().sum(1) / scale - explained).clamp_min(1e-12).sqrt()
        similarities.append((across - across @ solved) / own[:, None] / lengths)
    return best(_label_reads(similarities, "", split))


def residual_correction(split: Split, head: Fitted) -> Fitted:
    """A head's scores, plus a softmax read of what it gets wrong of each training image that is left out."""
    assert head.left_out is not None
    residuals, candidates = split.one_hot - head.left_out, [calibrated(head.scores, "none", split)]
    for shrinkage in (0.1, 1.0):
        train, val, test = map(unit, whitened(split, shrinkage))
        for beta in (10.0, 20.0, 40.0):
            reads = [(beta * (part @ train.T)).softmax(1) @ residuals for part in (val, test)]
            for share in (0.25, 0.5, 1.0):
                corrected = [score + share * read for score, read in zip(head.scores, reads, strict=True)]
                candidates.append(calibrated(corrected, f"s={shrinkage} beta={beta} share={share}", split))
    return best(candidates)


def class_covariances(split: Split) -> Fitted:
    """Regularised discriminant analysis (Friedman, JASA 1989): a Gaussian a class, shrunk to the pooled one and I."""
    features, members = split.train.features, split.one_hot
    means = members.T @ features / members.sum(0)[:, None]
    centred, width = features - means[split.train.labels], features.shape[1]
    pooled, identity = centred.T @ centred / len(centred), torch.eye(width, dtype=features.dtype)
    candidates = []
    for own, isotropic in itertools.product((0.1, 0.3, 0.6), (0.1, 0.3, 0.6)):
        columns: list[tuple[Tensor, ...]] = []
        for label, mean in enumerate(means):
            rows = centred[split.train.labels == label]
            covariance = (1 - own) * pooled + own * rows.T @ rows / len(rows)
            covariance = (1 - isotropic) * covariance + isotropic * covariance.trace() / width * identity
            factor = torch.linalg.cholesky(covariance)
            half = factor.diagonal().log().sum()
            columns.append(tuple(_log_density(p.features - mean, factor, half) for p in (split.val, split.test)))
        scores = [torch.stack(column, dim=1) for column in zip(*columns, strict=True)]
        candidates.append(calibrated(scores, f"own={own} isotropic={isotropic}", split))
    return best(candidates)


def _log_density(centred: Tensor, factor: Tensor, half_log_determinant: Tensor) -> Tensor:
    distances = torch.linalg.solve_triangular(factor, centred.T, upper=False).square().sum(0)
    return -distances / 2 - half_log_determinant


def _label_reads(similarities: Sequence[Tensor], name: str, split: Split) -> list[Fitted]:
    """A read for each inverse temperature; similarities [V, N] and [T, N]."""
    found = []
    for beta in INVERSE_TEMPERATURES:
        logs = [log_shares((beta * part).softmax(1), split.one_hot) for part in similarities]
        found.append(calibrated(logs, f"{name} beta={beta}".strip(), split))
    return found
