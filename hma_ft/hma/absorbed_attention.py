"""Attention over memory rows that are never projected, for memories that are large beside the batch.

A score is q . (Wk m + bk) = (Wk^T q) . m + q . bk, and a mixture of values is Wv (sum of p m) + bv: the projections
move from the R rows to the readers. What is left is attention of vectors of the full width over the normalised rows
themselves. With H heads and N readers that takes H N multiply-adds a number of the memory where projecting takes
W + N, and more in the backward pass, where a stored feature needs no gradient: only its label does. So it pays where
H N is small beside W; `prefer_absorbed` counts.

Rows are taken in blocks, so that what is computed with them stays in the processor's cache; one number for each
reader, head and row is kept for the backward pass.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from hma_ft.memory.memory_rows import MemoryRows

BLOCKS_COST = 1.4  # a multiply-add in blocks, over one in a single large product; seen on CPUs


class Mixture(NamedTuple):
    """What readers take from a set of rows by themselves, to be merged with other sets."""

    rows: Tensor  # [heads, N, width]: the mean of what was read, weights summing to 1
    lse: Tensor  # [heads, N]: log of the sum of exp(score); -inf where nothing is visible


class Sizes(NamedTuple):
    """What the cost of reading depends on."""

    readers: int
    rows: int
    width: int  # W, of a row
    read_width: int  # of a row as it is stored
    label_gradient: int  # columns of the stored rows that take a gradient, row by row
    heads: int
    backward: bool
    on_gpu: bool = False

    @classmethod
    def of(cls, readers: int, memory: MemoryRows, *, heads: int, backward: bool) -> "Sizes":
        """Sizes of an attention with so many readers of a memory."""
        return cls(
            readers=readers,
            rows=len(memory.features),
            width=memory.width,
            read_width=memory.features.shape[1] + memory.code_width,
            label_gradient=memory.code_width if memory.table is None and memory.labels.requires_grad else 0,
            heads=heads,
            backward=backward,
            on_gpu=memory.features.is_cuda,
        )


def prefer_absorbed(sizes: Sizes) -> bool:
    """Whether absorbed attention takes less time than projecting the rows, by the multiply-adds of both.

    Never on a GPU: a step waits for its kernels to be launched there, and absorbed attention launches more of them.
    """
    projected, absorbed = multiply_adds(sizes)
    return not sizes.on_gpu and BLOCKS_COST * absorbed < projected


def multiply_adds(sizes: Sizes) -> tuple[int, int]:
    """Multiply-adds of projected and of absorbed attention, with or without gradients.

    Projecting: two projections of a row, two products with the readers; each has two gradients. Absorbed: two
    products with `heads` times the readers; one gradient each, and the label's part of the other; moving the
    projections to the readers and back is the same as projecting one row a reader.
    """
    readers, rows, width, read_width, label_gradient, heads, backward, _ = sizes
    queries = heads * readers
    if not backward:
        return rows * 2 * (width + readers) * width, rows * 2 * queries * read_width + readers * 2 * width**2
    projected = rows * 6 * (width + readers) * width
    absorbed = rows * queries * (4 * read_width + 2 * label_gradient) + readers * 6 * width**2
    return projected, absorbed


def mix(queries: Tensor, memory: MemoryRows, mask: Tensor | None) -> Mixture:
    """Attention of queries [H, N, W] over the normalised rows; `mask` [R] or [N, R], None for all.

    The queries carry the scale; normalised means LayerNorm without weight and bias. With m the mean and s the inverse
    standard deviation of a row x, a score is q . s (x - m) = s (q - mean(q)) . x, and a mixture, the sum of
    p s (x - m), is the sum of (p s) x less the mean of its columns. So rows are read as they lie in the memory.
    """
    folded, scales = memory.fold(_centred(queries)), memory.inverse_std()
    rows, lse = _Mix.apply(folded, scales, memory.features, memory.labels, memory.table, mask)
    return Mixture(_centred(memory.unfold(rows)), lse)


class _Mix(Function):
    """Attention of queries [H, N, V] over rows x [R, V], each times its scale s, without a gradient of the features.

    The values are the scaled rows too.
    """

    @staticmethod
    def forward(
        context: Any,
        queries: Tensor,
        scales: Tensor,
        features: Tensor,
        labels: Tensor,
        table: Tensor | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        memory = MemoryRows(features, labels, table)
        flat = queries.flatten(0, 1)  # [Q, V], Q = heads * readers
        mass, mixed = _zeros(flat, 1), _zeros(flat, flat.shape[1])
        hidden_score = torch.finfo(flat.dtype).min / 2  # finite, as 0 * -inf is no number
        largest = torch.full_like(mass, hidden_score)
        kept = []
        for block, rows in memory.blocks(flat.dtype):
            scale = scales[block].to(flat.dtype)
            scores = (flat @ rows.T).mul_(scale)
            if mask is not None:
                scores.unflatten(0, queries.shape[:2]).masked_fill_(~mask[..., block], hidden_score)
            kept.append(scores)
            before, largest = largest, torch.maximum(largest, scores.amax(-1, keepdim=True))
            weights = (scores - largest).exp_()
            shrink = (before - largest).exp_()
            mass = mass.mul_(shrink).add_(weights.sum(-1, keepdim=True))
            _add_product(mixed.mul_(shrink), weights.mul_(scale), rows)
        nothing = largest <= hidden_score
        mixed = (mixed / mass).masked_fill_(nothing, 0.0).to(flat.dtype)
        lse = mass.log() + largest
        readable = lse.masked_fill(nothing, torch.inf)  # exp(score - inf) is 0
        context.save_for_backward(flat, scales, features, labels, table, mixed, readable)
        context.scores = kept
        lse = lse.masked_fill(nothing, -torch.inf)
        return mixed.view_as(queries), lse.view(queries.shape[:2])

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, scales, features, labels, table, mixed, lse = context.saved_tensors
        to_mixed = gradients[0].to(queries.dtype).flatten(0, 1)
        constant = gradients[1].reshape(-1, 1) - (to_mixed * mixed).sum(-1, keepdim=True, dtype=lse.dtype)
        to_queries, to_scales, to_labels = _zeros(queries, queries.shape[1]), torch.empty_like(scales), []
        for (block, rows), scores in zip(
            MemoryRows(features, labels, table).blocks(queries.dtype), context.scores, strict=True
        ):
            scale = scales[block].to(queries.dtype)
            weights = (scores - lse).exp_()
            to_weights = (to_mixed @ rows.T).mul_(scale)
            to_scores = (to_weights + constant).mul_(weights)
            if context.needs_input_grad[1]:
                through = (to_scores * scores).addcmul_(weights, to_weights.to(weights.dtype)).sum(0)
                to_scales[block] = through / scale
            to_scores.mul_(scale)
            if context.needs_input_grad[3]:
                width = labels.shape[1]
                part = to_scores.to(queries.dtype).T @ queries[:, -width:]
                to_labels.append(part + weights.mul_(scale).to(queries.dtype).T @ to_mixed[:, -width:])
            _add_product(to_queries, to_scores, rows)
        return (
            to_queries.to(queries.dtype).view_as(gradients[0]),
            to_scales if context.needs_input_grad[1] else None,
            None,
            torch.cat(to_labels).to(labels.dtype) if to_labels else None,
            None,  # the table's comes through queries, mixture and scales
            None,
        )


def _add_product(total: Tensor, weights: Tensor, rows: Tensor) -> None:
    """total [Q, V] += weights [Q, K] @ rows [K, V]."""
    if total.dtype == weights.dtype == rows.dtype:
        total.addmm_(weights, rows)
    else:
        total.add_(weights.to(rows.dtype) @ rows)


def _centred(vectors: Tensor) -> Tensor:
    """Less the mean of the columns [..., W]."""
    return vectors - vectors.mean(-1, keepdim=True)


def _zeros(queries: Tensor, width: int) -> Tensor:
    """[Q, width] to add up in, at least in single precision."""
    dtype = torch.promote_types(queries.dtype, torch.float32)
    return torch.zeros((len(queries), width), dtype=dtype, device=queries.device)
