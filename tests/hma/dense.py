"""The method written out image by image, a reference for the fast code. Nothing is shared with it but the weights."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.hma.attention import MemoryAttention


def attend(block: MemoryAttention, reader: Tensor, memory: list[Tensor]) -> Tensor:
    """One reader [W] and the rows that it reads, each [W]."""
    width = len(reader)
    head_width = width // block.heads
    query = block.query(norm(reader, block.query_norm))
    keys = [block.key(norm(row, block.memory_norm)) for row in memory]
    values = [block.value(norm(row, block.memory_norm)) for row in memory]
    if block.null_key is not None:
        keys, values = [*keys, block.null_key], [*values, torch.zeros_like(reader)]
    parts = []
    for head in range(block.heads):
        part = slice(head * head_width, (head + 1) * head_width)
        scores = torch.stack([query[part] @ key[part] for key in keys]) * block.scale
        weights = torch.exp(scores - scores.max())
        weights = weights / weights.sum()
        if block.top_k is not None and block.top_k < len(weights):
            limit = weights.sort(descending=True).values[block.top_k - 1]
            weights = torch.where(weights >= limit, weights, torch.zeros_like(weights))
            if block.renormalise_top_k:
                weights = weights / weights.sum()
        parts.append(sum(weight * value[part] for weight, value in zip(weights, values, strict=True)))
    attended = reader + torch.cat(parts)
    hidden = block.ffn[0](norm(attended, block.ffn_norm))
    return attended + block.ffn[3](0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))


def norm(row: Tensor, layer: torch.nn.LayerNorm) -> Tensor:
    """LayerNorm by its definition."""
    centred = row - row.mean()
    return centred / torch.sqrt((centred**2).mean() + 1e-12) * layer.weight + layer.bias


def one_hot(label: int, num_classes: int) -> Tensor:
    """A class as probabilities, float64."""
    return functional.one_hot(torch.tensor(label), num_classes).double()
