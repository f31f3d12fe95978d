"""The vote of the nearest training pictures: cosine similarity, weighted by exp(similarity / temperature).

Wu et al., Unsupervised feature learning via non-parametric instance discrimination, CVPR 2018, section 3.4.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.hma.bank import FeatureBank
from hma_ft.hma.real_memory import share_an_image
from hma_ft.methods.base import LabelledFeatures

FLOOR = 1e-6  # probability of a class without any neighbour, before normalisation


def unit(features: LabelledFeatures) -> LabelledFeatures:
    """As a bank of neighbours holds them: of length 1."""
    return features._replace(features=functional.normalize(features.features, dim=1))


def vote(
    features: Tensor, ids: Tensor | None, bank: FeatureBank, *, num_classes: int, k: int, temperature: float
) -> Tensor:
    """Features [B, D] -> probabilities [B, C] by the k nearest rows of a bank of unit features.

    An image with an id is no neighbour of its own.
    """
    similarity = functional.normalize(features, dim=1) @ bank.features.T
    if ids is not None:
        similarity = similarity.masked_fill(share_an_image(ids, bank.ids), -math.inf)
    nearest = similarity.topk(min(k, len(bank)), dim=1)
    weight = ((nearest.values - nearest.values[:, :1]) / temperature).exp()
    votes = torch.zeros(features.shape[0], num_classes, dtype=weight.dtype, device=weight.device)
    votes.scatter_add_(1, bank.labels[nearest.indices], weight)
    share = votes / votes.sum(1, keepdim=True) + FLOOR
    return share / share.sum(1, keepdim=True)
