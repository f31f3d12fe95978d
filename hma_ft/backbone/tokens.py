"""Learnable memory tokens (Sandler et al., "Fine-tuning Image Transformers using Learnable Memory", CVPR 2022).

Extra learnable tokens are appended to the sequence that a transformer block reads. `standard` appends new
tokens to the input of every block and drops them after it; `prop` appends tokens before the first block only,
and they travel to the last. In both the tokens are gone after the last block, so average and attention pooling
see the model's own tokens only, as they do without memory.

The tokens are parameters of the blocks, under the name that the released code gave them
(`blocks.I.added_mem`), and enter through forward hooks. So timm's own forward pass stays in charge: patch
dropout, pre-normalisation, registers, gradient checkpointing and torch.compile work as without them.
The paper's attention mask, under which the old tokens never see the new ones, is not offered.
"""

from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from hma_ft.backbone.architecture import TimmViT
from hma_ft.config.schema import TokensConfig, TokenType
from hma_ft.errors import UserError

PARAMETER = "added_mem"
INIT_STD = 0.02


def is_memory_token(parameter_name: str) -> bool:
    """Whether the parameter of this (dotted) name holds memory tokens."""
    return parameter_name.rpartition(".")[2] == PARAMETER


def add_memory_tokens(vit: TimmViT, config: TokensConfig) -> None:
    """Give `vit` memory tokens, in place; type `none` leaves it as it is.

    Each parameter is [1, config.number, D], drawn from N(0, 0.02) with torch's global generator.

    Raises:
        UserError: fewer than one token, or a transformer whose attention is tied to its number of tokens
            (relative or rotary positions).
    """
    if config.type is TokenType.none:
        return
    if config.number < 1:
        raise UserError(f"method.tokens.number={config.number}: must be at least 1, or set method.tokens.type=none.")
    if not isinstance(vit, VisionTransformer):
        raise UserError(
            f"method.tokens.type={config.type.value}: memory tokens need absolute position embeddings, which "
            f"{type(vit).__name__} models lack; choose a vit_* or deit_* model or set method.tokens.type=none."
        )
    if config.type is TokenType.standard:
        appending, dropping = list(vit.blocks), list(vit.blocks)
    else:
        appending, dropping = [vit.blocks[0]], [vit.blocks[-1]]
    for block in appending:
        tokens = next(block.parameters()).new_empty(1, config.number, vit.embed_dim)
        block.register_parameter(PARAMETER, nn.Parameter(nn.init.normal_(tokens, std=INIT_STD)))
        block.register_forward_pre_hook(_append)
    for block in dropping:
        block.register_forward_hook(partial(_drop, number=config.number))


def _append(block: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Forward pre-hook: [B, N, D] becomes [B, N + number, D]."""
    sequence, *others = inputs
    tokens = getattr(block, PARAMETER).to(sequence.dtype)
    # not len(): torch.export would fix the batch to the size of its example
    return torch.cat([sequence, tokens.expand(sequence.shape[0], -1, -1)], dim=1), *others


def _drop(block: nn.Module, inputs: tuple[Any, ...], output: Tensor, *, number: int) -> Tensor:
    """Forward hook: [B, N + number, D] becomes [B, N, D]."""
    return output[:, :-number]
