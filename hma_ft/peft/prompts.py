"""Visual prompt tuning (Jia et al., "Visual Prompt Tuning", ECCV 2022).

Deep: n learnable prompts beside the tokens of every block, each block's own; shallow: of the first block only. The same
function as memory tokens (`standard` and `prop`) up to initial values, number and dropout: prompts are drawn from
U(-v, v) with v = sqrt(6 / (3 p^2 + D)) for patches of p x p pixels and width D.
"""

import math
from functools import partial

from torch import nn

from hma_ft.peft.adapted import Adapted, TimmViT
from hma_ft.peft.insertion import PROMPTS, insert_tokens
from hma_ft.peft.options import require_positive, require_rate


def add_prompts(vit: TimmViT, *, deep: bool, number: int, dropout: float) -> Adapted:
    """Give `vit` prompts: `number` a block (deep) or in all; dropout of their elements in training."""
    require_positive(number=number)
    require_rate(dropout=dropout)
    height, width = vit.patch_embed.patch_size
    bound = math.sqrt(6 / (3 * height * width + vit.embed_dim))
    return insert_tokens(
        vit, PROMPTS, number, deep=deep, init=partial(nn.init.uniform_, a=-bound, b=bound), dropout=dropout
    )
