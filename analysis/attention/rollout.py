"""Attention rollout of a Vision Transformer (Abnar and Zuidema, ACL 2020, section 3).

With A the attention of a block, mean over heads, and the residual path as half of the mixture, A' = (A + I) / 2.
The rollout is the product A'_last ... A'_first: its row of the pooled token says how much of each input token
reached it, if values mix as the attention says. It leaves out MLPs, norms and values' sizes, as the paper does.

timm's blocks use fused attention, which keeps no weights: they are computed anew from the inputs of the attention
modules, and each is checked against what the module gave out.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from timm.layers import Attention
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.errors import UserError
from hma_ft.peft.insertion import deep_tokens


@torch.no_grad()
def rollout(backbone: Backbone, images: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 images [B, 3, S, S] -> share of each patch [B, rows, columns], and of everything else [B].

    Everything else: the class token and its like, registers, memory tokens, prompts. All shares of an image sum to 1.

    Raises:
        UserError: a transformer whose attention isn't timm's plain one, or whose pooling is no token and no mean.
    """
    vit = backbone.vit
    start = _pooling_row(vit)
    mixed: Tensor | None = None
    for block, attention in zip(vit.blocks, block_attention(backbone, images), strict=True):
        residual = torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
        step = (attention.mean(1) + residual) / 2
        own = deep_tokens(vit, block)
        if own:  # tokens that enter and leave with this block end a path
            step = step[:, :-own, :-own]
        mixed = step if mixed is None else step @ mixed
    assert mixed is not None
    shares = start(mixed)
    height, width = vit.patch_embed.grid_size
    first = vit.num_prefix_tokens
    patches = shares[:, first : first + height * width]
    return patches.unflatten(1, (height, width)), 1.0 - patches.sum(1)


@torch.no_grad()
def block_attention(backbone: Backbone, images: Tensor) -> list[Tensor]:
    """Attention weights of every block, [B, heads, N, N] each; see `rollout` for errors."""
    seen: list[Tensor] = []

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        weights, expected = attention_weights(module, inputs[0])
        if not torch.allclose(expected, output, rtol=1e-3, atol=1e-3 * float(output.abs().max())):
            raise UserError("the attention of this model isn't timm's plain one: rollout is not offered for it")
        seen.append(weights)

    modules = [getattr(block, "attn", None) for block in backbone.vit.blocks]
    with ExitStack() as stack:
        for module in modules:
            if not isinstance(module, Attention):
                raise UserError(
                    f"{type(backbone.vit).__name__} has blocks with {type(module).__name__}: rollout is offered for "
                    "timm's plain attention (vit_*, deit_*)"
                )
            stack.callback(module.register_forward_hook(record).remove)
        backbone.forward(images)  # not what was compiled of it, which passes over the hooks
    return seen


def attention_weights(module: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [B, heads, N, N] of a timm Attention for tokens [B, N, D], and the output [B, N, D] they lead to."""
    batch, count, _ = tokens.shape
    projected = module.qkv(tokens).reshape(batch, count, 3, module.num_heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = projected.unbind(0)
    query, key = module.q_norm(query), module.k_norm(key)
    weights = (query * module.scale @ key.transpose(-2, -1)).softmax(dim=-1)
    mixed = module.norm((weights @ value).transpose(1, 2).flatten(2))
    if module.gate is not None:
        mixed = mixed * module.gate(tokens).sigmoid()
    return weights, module.proj(mixed)


def _pooling_row(vit: Any) -> Callable[[Tensor], Tensor]:
    """From the rollout [B, N, N] to the shares [B, N] of the tokens in what the model pools."""
    patches = vit.patch_embed.num_patches
    first = vit.num_prefix_tokens
    if hasattr(vit, "dist_token") and vit.dist_token is not None:
        return lambda mixed: mixed[:, :2].mean(1)  # class and distillation token, half of the feature each
    if vit.global_pool == "token":
        return lambda mixed: mixed[:, 0]
    if vit.global_pool == "avg":
        return lambda mixed: mixed[:, first : first + patches].mean(1)
    raise UserError(f"pooling {vit.global_pool!r} has no row to roll out: rollout needs a class token or the mean")
