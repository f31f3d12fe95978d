"""Adapter+: an adapter behind each block, with a learned scale of every channel (Steitz and Roth, CVPR 2024).

    y = x + DropPath(U GELU(V x)) * scale        x: the block's output

V and U are drawn from N(0, 0.01), cut off at two standard deviations, and the scale begins at 1: the model at the start
is near what it was, and not the same.
"""

from functools import partial

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from hma_ft.peft.adapted import Adapted, TimmViT, parameters_below
from hma_ft.peft.bottleneck import Bottleneck
from hma_ft.peft.options import require_positive, require_rate

CHILD = "adapter_plus"  # of a block
INIT_STD = 0.01


class ScaledBottleneck(nn.Module):
    """DropPath(U GELU(V x)) * scale: [B, N, D] -> [B, N, D]."""

    def __init__(self, features: int, width: int, drop_path: float) -> None:
        super().__init__()
        self.bottleneck = Bottleneck(features, width, activation=nn.GELU, dropout=0.0, scale=1.0)
        for layer in (self.bottleneck.down, self.bottleneck.up):
            nn.init.trunc_normal_(layer.weight, std=INIT_STD, a=-2 * INIT_STD, b=2 * INIT_STD)
        self.drop_path = DropPath(drop_path)
        self.scale = nn.Parameter(torch.ones(features))

    def forward(self, inputs: Tensor) -> Tensor:
        """What is added to the block's output."""
        return self.drop_path(self.bottleneck(inputs)) * self.scale


def add_adapter_plus(vit: TimmViT, *, bottleneck: int, drop_path: float) -> Adapted:
    """Give every block an adapter of `bottleneck` hidden units, dropped for an image with probability `drop_path`."""
    require_positive(bottleneck=bottleneck)
    require_rate(drop_path=drop_path)
    added = []
    for block in vit.blocks:
        adapter = ScaledBottleneck(vit.embed_dim, bottleneck, drop_path)
        block.add_module(CHILD, adapter)
        block.register_forward_hook(partial(_behind, CHILD))
        added.append(adapter)
    return Adapted(parameters_below(vit, CHILD), modules=tuple(added))


def _behind(child: str, block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Forward hook."""
    return output + block.get_submodule(child)(output)
