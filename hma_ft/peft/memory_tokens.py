"""Learnable memory tokens (Sandler et al., "Fine-tuning Image Transformers using Learnable Memory", CVPR 2022).

`standard` appends new tokens to the input of every block and drops them after it; `prop` appends tokens before the
first block only, and they travel to the last. The parameters have the names that the released code gave them
(`blocks.I.added_mem`). The paper's attention mask, under which the old tokens never see the new ones, is not offered.
"""

from functools import partial

from torch import nn

from hma_ft.config.schema import TokensConfig, TokenType
from hma_ft.errors import UserError
from hma_ft.peft.adapted import NOTHING_ADDED, Adapted, TimmViT, UnsupportedModel
from hma_ft.peft.insertion import MEMORY, insert_tokens

INIT_STD = 0.02


def add_memory_tokens(vit: TimmViT, config: TokensConfig) -> Adapted:
    """Give `vit` memory tokens, in place; type `none` leaves it as it is.

    Each parameter is [1, config.number, D], drawn from N(0, 0.02) with torch's global generator.

    Raises:
        UserError: fewer than one token, or a transformer that takes none (see `insert_tokens`).
    """
    if config.type is TokenType.none:
        return NOTHING_ADDED
    if config.number < 1:
        raise UserError(f"method.tokens.number={config.number}: must be at least 1, or set method.tokens.type=none.")
    try:
        return insert_tokens(
            vit,
            MEMORY,
            config.number,
            deep=config.type is TokenType.standard,
            init=partial(nn.init.normal_, std=INIT_STD),
        )
    except UnsupportedModel as error:
        raise UserError(f"method.tokens.type={config.type.value}: {error}; or set method.tokens.type=none.") from error
