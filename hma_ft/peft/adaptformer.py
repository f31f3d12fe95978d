"""AdaptFormer: an adapter parallel to the MLP (Chen et al., NeurIPS 2022).

    y = x + DropPath(MLP(LN x)) + s U ReLU(V x)

It reads x before the norm, as the authors' image experiments do, and drop path leaves it alone. U = 0, so at the start
the model is what it was, bit for bit.
"""

from torch import Tensor, nn

from hma_ft.peft.adapted import Adapted, TimmViT, parameters_below
from hma_ft.peft.blocks import branch_ends, require_pre_norm
from hma_ft.peft.bottleneck import Bottleneck
from hma_ft.peft.options import require_positive, require_rate

CHILD = "adaptformer"  # of the module at the end of the MLP's branch


class Parallel(Bottleneck):
    """A bottleneck that is given its input where the MLP's branch begins and asked for its output where that ends."""

    held: Tensor | None = None

    def take(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Forward pre-hook of the branch's norm."""
        (self.held,) = inputs

    def join(self, end: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Forward hook of the branch's end."""
        assert self.held is not None
        held, self.held = self.held, None
        return output + self(held)


def add_adaptformer(vit: TimmViT, *, bottleneck: int, scale: float, dropout: float) -> Adapted:
    """Give the MLP of every block a parallel adapter of `bottleneck` hidden units.

    Raises:
        UnsupportedModel: blocks whose MLP doesn't read a norm of the residual stream.
    """
    require_positive(bottleneck=bottleneck, scale=scale)
    require_rate(dropout=dropout)
    require_pre_norm(vit)
    added = []
    for block, end in zip(vit.blocks, branch_ends(vit, 2), strict=True):
        adapter = Parallel(vit.embed_dim, bottleneck, activation=nn.ReLU, dropout=dropout, scale=scale)
        end.add_module(CHILD, adapter)
        block.norm2.register_forward_pre_hook(adapter.take)
        end.register_forward_hook(adapter.join)
        added.append(adapter)
    return Adapted(parameters_below(vit, CHILD), modules=tuple(added))
