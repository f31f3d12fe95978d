"""Stochastic depth (Huang et al., ECCV 2016) inside a backbone whose weights are frozen."""

from typing import Any

from timm.layers import DropPath, calculate_drop_path_rates
from torch import nn

from hma_ft.peft.adapted import TimmViT

_NAMES = ("drop_path", "drop_path1", "drop_path2")  # timm's, in every kind of block


def add_drop_path(vit: TimmViT, rate: float) -> tuple[nn.Module, ...]:
    """Give the residual branches of `vit` drop path, the last block's with probability `rate`, lower ones less.

    timm's linear rule (0 in the first block). Modules without parameters are replaced, so no weight changes its name.
    Returns the new modules, which drop nothing unless they are in train mode.
    """
    if rate == 0:
        return ()
    added: list[nn.Module] = []
    rates: Any = calculate_drop_path_rates(rate, len(vit.blocks))
    for block, block_rate in zip(vit.blocks, rates, strict=True):
        for parent in list(block.modules()):
            for name in _NAMES:
                if isinstance(getattr(parent, name, None), (nn.Identity, DropPath)):
                    setattr(parent, name, DropPath(block_rate))
                    added.append(getattr(parent, name))
    return tuple(added)
