"""The vote of the nearest training images by cosine similarity.

A neighbour's weight is exp(similarity / temperature) (Wu et al., Unsupervised feature learning via non-parametric
instance discrimination, CVPR 2018, section 3.4), or 1 / (rank + 2), the nearest having rank 0 (rank voting: Geirhos et
al., Towards flexible perception with visual memory, ICML 2025).

Similarities, weights and votes are computed in float32, or in float64 if the features are, whatever autocast says:
bfloat16 tells cosines around 0.78 apart by steps of 0.004, which is more than separates many neighbours. Queries and
rows are taken in blocks, so that memory does not grow with the product of their numbers.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.ring_buffer import ids_overlap
from hma_ft.methods.base import LabelledFeatures
from hma_ft.precision import at_least_single, without_autocast

FLOOR = 1e-6  # probability of a class without any neighbour, before normalisation
RANK_OFFSET = 2.0  # of the published code
QUERIES, ROWS = 1024, 32768  # of a block, whose similarities take 128 MiB in float32


class Nearest(NamedTuple):
    """The rows of a bank that are most similar to each query, the most similar first."""

    similarities: Tensor  # [B, K]; -inf of a row that the query may not read
    labels: Tensor  # [B, K]
    rows: Tensor  # int64 [B, K]: places in the bank


def l2_normalize(features: LabelledFeatures) -> LabelledFeatures:
    """Return the features at length 1, as a bank of neighbours holds them."""
    with without_autocast(features.features):
        return features._replace(features=functional.normalize(at_least_single(features.features), dim=1))


def knn_probabilities(
    features: Tensor, ids: Tensor | None, bank: FeatureBank, *, num_classes: int, k: int, temperature: float | None
) -> Tensor:
    """Return the class probabilities [B, C] of features [B, D] by the k nearest rows of a bank of unit features.

    An image with an id is no neighbour of its own. Without a `temperature` ranks vote.
    """
    blocks = nearest_in_blocks(features, ids, bank, k=k)
    votes = [weighted_vote(found, num_classes=num_classes, k=k, temperature=temperature) for _, found in blocks]
    return votes[0] if len(votes) == 1 else torch.cat(votes)


def nearest_in_blocks(
    features: Tensor, ids: Tensor | None, bank: FeatureBank, *, k: int
) -> Iterator[tuple[slice, Nearest]]:
    """Yield (which features, their k nearest rows), `QUERIES` of the features [B, D] at a time."""
    if torch.compiler.is_exporting():  # a graph that takes any batch can't loop over it
        yield slice(None), nearest(features, ids, bank, k=k)
        return
    for start in range(0, max(len(features), 1), QUERIES):
        block = slice(start, start + QUERIES)
        yield block, nearest(features[block], None if ids is None else ids[block], bank, k=k)


def nearest(features: Tensor, ids: Tensor | None, bank: FeatureBank, *, k: int) -> Nearest:
    """Return the k nearest rows, or all where there are fewer, reading `ROWS` rows of the bank at a time."""
    with without_autocast(features):
        dtype = torch.promote_types(at_least_single(features).dtype, bank.features.dtype)
        queries = functional.normalize(features.to(dtype), dim=1)
        found: Nearest | None = None
        for start in range(0, max(len(bank), 1), ROWS):
            rows = slice(start, start + ROWS)
            similarities = queries @ bank.features[rows].to(dtype).T
            if ids is not None:
                similarities = similarities.masked_fill(ids_overlap(ids, bank.ids[rows]), -math.inf)
            top = similarities.topk(min(k, similarities.shape[1]), dim=1)
            block = Nearest(top.values, bank.labels[rows][top.indices], top.indices + start)
            found = block if found is None else _merge(found, block, k)
        assert found is not None
        return found


def weighted_vote(found: Nearest, *, num_classes: int, k: int, temperature: float | None) -> Tensor:
    """Return the class probabilities [B, C] by the first k of the rows found; equal ones where there is no row.

    Without a `temperature` ranks vote.
    """
    similarities, labels = found.similarities[:, :k], found.labels[:, :k]
    with without_autocast(similarities):
        if temperature is None:
            ranks = torch.arange(similarities.shape[1], device=similarities.device, dtype=similarities.dtype)
            weights = (1 / (ranks + RANK_OFFSET)).expand_as(similarities)
        else:
            weights = ((similarities - similarities[:, :1]) / temperature).exp()
        weights = weights.masked_fill(similarities == -math.inf, 0.0)
        # shape[0]: torch.export would take len() for a constant
        votes = weights.new_zeros(weights.shape[0], num_classes).scatter_add_(1, labels, weights)
        share = votes / votes.sum(1, keepdim=True).clamp_min(FLOOR) + FLOOR
        return share / share.sum(1, keepdim=True)


def _merge(one: Nearest, other: Nearest, k: int) -> Nearest:
    """Return the k nearest of two sets of rows for the same queries."""
    similarities = torch.cat([one.similarities, other.similarities], dim=1)
    kept = similarities.topk(min(k, similarities.shape[1]), dim=1)
    labels, rows = (torch.cat(pair, dim=1).gather(1, kept.indices) for pair in zip(one[1:], other[1:], strict=True))
    return Nearest(kept.values, labels, rows)
