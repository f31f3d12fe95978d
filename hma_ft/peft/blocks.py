"""Places in timm's blocks where a branch can be changed before it joins the residual stream."""

from timm.models.eva import EvaBlockPostNorm
from timm.models.vision_transformer import ResPostBlock
from torch import nn

from hma_ft.peft.adapted import TimmViT, UnsupportedModel

_POST_NORM = (EvaBlockPostNorm, ResPostBlock)


def branch_ends(vit: TimmViT, branch: int) -> list[nn.Module]:
    """The last module of branch 1 (attention) or 2 (MLP) of each block: drop path, or the identity in its place.

    Its input is what the branch gives, layer scale applied; its output is added to the residual stream.

    Raises:
        UnsupportedModel: blocks that are not attention, then MLP.
    """
    for block in vit.blocks:
        if not hasattr(block, "drop_path1") or not hasattr(block, "drop_path2"):
            raise UnsupportedModel(f"the blocks of this model ({type(block).__name__}) are not attention, then MLP")
    return [getattr(block, f"drop_path{branch}") for block in vit.blocks]


def require_pre_norm(vit: TimmViT) -> None:
    """Raise UnsupportedModel unless every block normalises what its branches read."""
    for block in vit.blocks:
        if isinstance(block, _POST_NORM):
            raise UnsupportedModel(f"the blocks of this model ({type(block).__name__}) normalise after their branches")
