"""Partial fine-tuning: the last blocks and the final norm train (Yosinski et al., NeurIPS 2014; "partial-k" in VPT)."""

from hma_ft.errors import UserError
from hma_ft.peft.adapted import Adapted, TimmViT
from hma_ft.peft.options import require_positive

_FINAL_NORMS = ("norm.", "fc_norm.")  # before or after pooling; a model has one of them


def train_last_blocks(vit: TimmViT, *, blocks: int) -> Adapted:
    """Choose the last `blocks` blocks, which then use their own dropout and drop path, and the final norm."""
    require_positive(blocks=blocks)
    depth = len(vit.blocks)
    if blocks > depth:
        raise UserError(f"method.peft.options.blocks={blocks}: the model has {depth} blocks")
    chosen = tuple(f"blocks.{index}." for index in range(depth - blocks, depth))
    names = [name for name, _ in vit.named_parameters() if name.startswith(chosen + _FINAL_NORMS)]
    return Adapted(frozenset(names), modules=tuple(vit.blocks[depth - blocks :]))
