"""Learnable tokens in the sequence of a Vision Transformer: memory tokens and visual prompts are both of this kind.

`deep` tokens enter before every block and leave after it, so that each block has its own; tokens that are not deep
enter before the first block and travel to the end of the last. In both cases they are gone after the last block:
average and attention pooling see the model's own tokens only.

The tokens are parameters of the blocks and enter through forward hooks. So timm's own forward pass stays in charge:
patch dropout, pre-normalisation, registers, gradient checkpointing and torch.compile work as without them.
Where positions are absolute they are appended. Where they are rotary (timm's Eva: EVA, EVA-02, DINOv3) they stand right
after the class token and registers, which timm's attention does not rotate, and count among those there.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from hma_ft.peft.adapted import Adapted, TimmViT, UnsupportedModel

MEMORY = "added_mem"  # the released code's name
PROMPTS = "prompts"
_DROPOUT = "{}_dropout"  # a block's module that drops elements of the tokens of this name


def is_inserted_token(parameter_name: str) -> bool:
    """Whether the parameter of this (dotted) name holds tokens that `insert_tokens` added."""
    return parameter_name.rpartition(".")[2] in (MEMORY, PROMPTS)


def deep_tokens(vit: TimmViT, block: nn.Module) -> int:
    """Number of tokens that enter with this block and leave after it."""
    names = [name for name in (MEMORY, PROMPTS) if all(hasattr(other, name) for other in vit.blocks)]
    return sum(getattr(block, name).shape[1] for name in names)


def insert_tokens(
    vit: TimmViT,
    name: str,
    number: int,
    *,
    deep: bool,
    init: Callable[[Tensor], Tensor],
    dropout: float | None = None,
) -> Adapted:
    """Give `vit` learnable tokens, in place: `blocks.I.<name>` [1, number, D], filled in place by `init`.

    With `dropout` their elements are dropped in train mode, for each image of its own.

    Raises:
        UnsupportedModel: a transformer whose attention is tied to its number of tokens (relative positions).
    """
    place = _place(vit)
    for block in vit.blocks if deep else vit.blocks[:1]:
        tokens = next(block.parameters()).new_empty(1, number, vit.embed_dim)
        block.register_parameter(name, nn.Parameter(init(tokens)))
        if dropout is not None:
            block.add_module(_DROPOUT.format(name), nn.Dropout(dropout))
        # Of several kinds, what travels enters first and leaves last; what is deep leaves in the reverse order.
        block.register_forward_pre_hook(partial(_enter, name=name, place=place), prepend=not deep)
    for block in vit.blocks if deep else vit.blocks[-1:]:
        block.register_forward_hook(partial(_leave, number=number, place=place), prepend=deep)
    if place is not None:
        for block in vit.blocks:
            block.attn.num_prefix_tokens += number
    return Adapted(
        trainable=frozenset(key for key, _ in vit.named_parameters() if key.rpartition(".")[2] == name),
        modules=tuple(module for key, module in vit.named_modules() if key.endswith(_DROPOUT.format(name))),
    )


def _place(vit: TimmViT) -> int | None:
    """Index in the sequence at which tokens enter; None: at its end."""
    if isinstance(vit, VisionTransformer):
        return None
    if isinstance(vit, Eva):
        return vit.num_prefix_tokens
    raise UnsupportedModel(
        f"tokens can't be added to {type(vit).__name__} models, whose relative positions are tied to the number of "
        "tokens; choose a vit_*, deit_* or eva* model"
    )


def _enter(block: nn.Module, inputs: tuple[Any, ...], *, name: str, place: int | None) -> tuple[Any, ...]:
    """Forward pre-hook: [B, N, D] becomes [B, N + number, D]."""
    sequence, *others = inputs
    # not len(): torch.export would fix the batch to the size of its example
    tokens = getattr(block, name).to(sequence.dtype).expand(sequence.shape[0], -1, -1)
    dropout = getattr(block, _DROPOUT.format(name), None)
    if dropout is not None:
        tokens = dropout(tokens)
    if place is None:
        return torch.cat([sequence, tokens], dim=1), *others
    return torch.cat([sequence[:, :place], tokens, sequence[:, place:]], dim=1), *others


def _leave(block: nn.Module, inputs: tuple[Any, ...], output: Tensor, *, number: int, place: int | None) -> Tensor:
    """Forward hook: [B, N + number, D] becomes [B, N, D]."""
    if place is None:
        return output[:, :-number]
    return torch.cat([output[:, :place], output[:, place + number :]], dim=1)
