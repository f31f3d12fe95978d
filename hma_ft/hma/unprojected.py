"""Attention over memory rows that are never projected, for memories that are large beside the batch.

A score is q . (Wk m + bk) = (Wk^T q) . m + q . bk, and a mixture of values is Wv (sum of p m) + bv: the projections
move from the R rows to the readers. What is left is attention of vectors of the full width over the normalised rows
themselves. With H heads and N readers that takes H N multiply-adds a number of the memory where projecting takes
W + N, and more in the backward pass, where a stored feature needs no gradient: only its label does. So it pays where
H N is small beside W; `costs_less` counts.

Rows are taken in blocks, so that what is computed with them stays in the processor's cache; one number for each
reader, head and row is kept for the backward pass.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

BLOCK = 1024  # rows at a time
BLOCKS_COST = 1.4  # a multiply-add in blocks, over one in a single large product; seen on CPUs
EPS = 1e-12  # of the LayerNorm


class MemoryRows(NamedTuple):
    """A memory as it is stored; row r is [features ; labels]."""

    features: Tensor  # [R, D], no gradient
    labels: Tensor  # [R, L], embedded


class Mixture(NamedTuple):
    """What readers take from a set of rows by themselves, to be merged with other sets."""

    rows: Tensor  # [heads, N, width]: the mean of what was read, weights summing to 1
    log_mass: Tensor  # [heads, N]: log of the sum of exp(score); -inf where nothing is visible


def costs_less(readers: int, rows: int, *, width: int, label_width: int, heads: int, backward: bool) -> bool:
    """Whether reading unprojected takes less time than projecting the rows, by the multiply-adds of both."""
    projected, unprojected = multiply_adds(
        readers, rows, width=width, label_width=label_width, heads=heads, backward=backward
    )
    return BLOCKS_COST * unprojected < projected


def multiply_adds(
    readers: int, rows: int, *, width: int, label_width: int, heads: int, backward: bool
) -> tuple[int, int]:
    """Of reading the rows projected, and unprojected, with or without gradients.

    Projecting: two projections of a row, two products with the readers; each has two gradients. Unprojected: two
    products with `heads` times the readers; one gradient each, and the label's part of the other; moving the
    projections to the readers and back is the same as projecting one row a reader.
    """
    queries = heads * readers
    if not backward:
        return rows * 2 * (width + readers) * width, rows * 2 * queries * width + readers * 2 * width**2
    projected = rows * 6 * (width + readers) * width
    unprojected = rows * (4 * queries * width + 2 * queries * label_width) + readers * 6 * width**2
    return projected, unprojected


def mix(queries: Tensor, memory: MemoryRows, visible: Tensor | None) -> Mixture:
    """Attention of queries [H, N, W] over the normalised rows; `visible` [R] or [N, R], None for all.

    The queries carry the scale; normalised means LayerNorm without weight and bias.
    """
    rows, log_mass = _Mix.apply(queries, memory.features, memory.labels, visible)
    return Mixture(rows, log_mass)


class _Mix(Function):
    """`mix` with a backward pass that leaves out the gradient of the features."""

    @staticmethod
    def forward(
        context: Any, queries: Tensor, features: Tensor, labels: Tensor, visible: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        mass, mixed = _zeros(queries, 1), _zeros(queries, queries.shape[2])
        hidden_score = torch.finfo(queries.dtype).min / 2  # finite, as 0 * -inf is no number
        largest = torch.full_like(mass, hidden_score)
        kept = []
        for block, rows, _ in _blocks(features, labels, queries.dtype):
            scores = queries @ rows.T
            if visible is not None:
                scores.masked_fill_(~visible[..., block], hidden_score)
            kept.append(scores)
            before, largest = largest, torch.maximum(largest, scores.amax(-1, keepdim=True))
            weights = (scores - largest).exp_()
            shrink = (before - largest).exp_()
            mass = mass.mul_(shrink).add_(weights.sum(-1, keepdim=True))
            mixed = mixed.mul_(shrink).add_(weights.to(rows.dtype) @ rows)
        nothing = largest <= hidden_score
        mixed = (mixed / mass).masked_fill(nothing, 0.0).to(queries.dtype)
        log_mass = mass.log() + largest
        context.save_for_backward(queries, features, labels, mixed, log_mass.masked_fill(nothing, torch.inf))
        context.scores = kept
        return mixed, log_mass.masked_fill(nothing, -torch.inf).squeeze(-1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        queries, features, labels, mixed, log_mass = context.saved_tensors
        to_mixed = gradients[0].to(queries.dtype)
        constant = gradients[1].unsqueeze(-1) - (to_mixed * mixed).sum(-1, keepdim=True, dtype=log_mass.dtype)
        to_queries, to_labels = _zeros(queries, queries.shape[2]), []
        for (_, rows, inverse_std), scores in zip(
            _blocks(features, labels, queries.dtype), context.scores, strict=True
        ):
            weights = (scores - log_mass).exp_()
            to_weights = to_mixed @ rows.T
            to_scores = (to_weights + constant).mul_(weights)
            to_queries.add_(to_scores.to(rows.dtype) @ rows)
            if context.needs_input_grad[2]:
                through = (to_scores * scores).addcmul_(weights, to_weights.to(weights.dtype)).sum((0, 1))
                part = _label_part(to_scores, queries, labels) + _label_part(weights, to_mixed, labels)
                to_labels.append(_label_gradient(part, through, rows, inverse_std))
        return (
            to_queries.to(queries.dtype),
            None,
            torch.cat(to_labels).to(labels.dtype) if to_labels else None,
            None,
        )


def _blocks(features: Tensor, labels: Tensor, dtype: torch.dtype) -> Any:
    """(slice, normalised rows [K, W] in `dtype`, 1 / standard deviation [K, 1]) of each block of rows."""
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        rows = torch.cat([features[block], labels[block].to(features.dtype)], dim=1)
        normalised, _, inverse_std = torch.native_layer_norm(rows, [rows.shape[1]], None, None, EPS)
        yield block, normalised.to(dtype), inverse_std


def _label_part(weights: Tensor, vectors: Tensor, labels: Tensor) -> Tensor:
    """weights [H, N, K], vectors [H, N, W] -> [K, L + 1]: their product's columns of the label, and the sum of all."""
    width = labels.shape[1]
    needed = torch.cat([vectors[..., -width:], vectors.sum(-1, keepdim=True)], dim=-1).flatten(0, 1)
    return (needed.T @ weights.to(vectors.dtype).flatten(0, 1)).T.to(weights.dtype)


def _label_gradient(part: Tensor, through: Tensor, rows: Tensor, inverse_std: Tensor) -> Tensor:
    """Through the LayerNorm to the label [K, L]: `part` [K, L + 1], `through` [K] is gradient . normalised row."""
    width, label_width = rows.shape[1], part.shape[1] - 1
    centred = part[:, :-1] - part[:, -1:] / width
    return inverse_std * (centred - rows[:, -label_width:] * through.unsqueeze(1) / width)


def _zeros(queries: Tensor, width: int) -> Tensor:
    """[H, N, width] to add up in, at least in single precision."""
    dtype = torch.promote_types(queries.dtype, torch.float32)
    return torch.zeros((*queries.shape[:2], width), dtype=dtype, device=queries.device)
