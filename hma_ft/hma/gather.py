"""Gathering rows over the processes of a distributed run, with gradient."""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd import Function


class _GatherRows(Function):
    """All ranks' rows in rank order; each rank gets back the sum of all ranks' gradients for its own rows."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.count = len(rows)
        gathered = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        start = distributed.get_rank() * context.count
        return gradient[start : start + context.count]


def is_distributed() -> bool:
    """Whether this process is one of several."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather_rows(rows: Tensor) -> Tensor:
    """Rows [n, ...] of this rank -> rows [ranks * n, ...] of all, in rank order; every rank must bring equally many."""
    if not is_distributed():
        return rows
    if not rows.requires_grad:
        gathered = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, rows.contiguous())
        return torch.cat(gathered)
    return _GatherRows.apply(rows)
