"""Adapters in series with a branch: h + s U GELU(V h) for the output h of attention or MLP, before the residual sum.

`placement=houlsby`: after attention and after MLP (Houlsby et al., ICML 2019); `pfeiffer`: after MLP only (Pfeiffer et
al., EACL 2021). U = 0, so at the start the model is what it was, bit for bit.
"""

from functools import partial

from torch import Tensor, nn

from hma_ft.errors import UserError
from hma_ft.peft.adapted import Adapted, TimmViT, parameters_below
from hma_ft.peft.blocks import branch_ends
from hma_ft.peft.bottleneck import Bottleneck
from hma_ft.peft.options import require_positive, require_rate

CHILD = "adapter"  # of the module at a branch's end
_BRANCHES = {"houlsby": (1, 2), "pfeiffer": (2,)}


def add_adapters(vit: TimmViT, *, placement: str, bottleneck: int, scale: float, dropout: float) -> Adapted:
    """Give the branches of every block an adapter of `bottleneck` hidden units."""
    require_positive(bottleneck=bottleneck, scale=scale)
    require_rate(dropout=dropout)
    if placement not in _BRANCHES:
        raise UserError(f"method.peft.options.placement={placement} is not known: use one of {', '.join(_BRANCHES)}")
    ends = [end for branch in _BRANCHES[placement] for end in branch_ends(vit, branch)]
    added = []
    for end in ends:
        adapter = Bottleneck(vit.embed_dim, bottleneck, activation=nn.GELU, dropout=dropout, scale=scale)
        end.add_module(CHILD, adapter)
        end.register_forward_pre_hook(partial(_in_series, CHILD))
        added.append(adapter)
    return Adapted(parameters_below(vit, CHILD), modules=tuple(added))


def _in_series(child: str, end: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Forward pre-hook: the branch's output with what the adapter makes of it."""
    (branch,) = inputs
    return (branch + end.get_submodule(child)(branch),)
