"""Prompts and memory tokens: one function, their initial values, and rotary positions written out."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.layers import apply_rot_embed_cat
from torch import Tensor

from hma_ft.backbone.backbone import Backbone
from tests.peft.conftest import Make, bare, disturb, features_of, trainable

OPTIONS = "method.peft.options"
Images = Callable[[Backbone], Tensor]


@pytest.mark.parametrize(("prompts", "tokens"), [("vpt_deep", "tokens_standard"), ("vpt_shallow", "tokens_prop")])
def test_prompts_are_memory_tokens(prompts: str, tokens: str, make: Make, images: Images) -> None:
    one, other = make(prompts), make(tokens, "vit_tiny_patch16_224", "method.tokens.number=10")
    state = {name.replace("prompts", "added_mem"): value for name, value in one.state_dict().items()}
    other.load_state_dict(state)
    images = images(one)
    torch.testing.assert_close(one(images), other(images), rtol=0, atol=1e-12)


def test_initial_values(make: Make) -> None:
    drawn = torch.cat(
        [
            value.flatten()
            for value in trainable(make("vpt_deep", "vit_tiny_patch16_224", f"{OPTIONS}.number=100")).values()
        ]
    )
    bound = (6 / (3 * 16**2 + 48)) ** 0.5
    assert drawn.abs().max() <= bound
    assert drawn.abs().max() > 0.999 * bound
    assert drawn.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


@pytest.mark.parametrize("name", ["vpt_deep", "vpt_shallow"])
def test_dropout_is_an_images_own_and_stops_in_evaluation(name: str, make: Make, images: Images) -> None:
    backbone = make(name, "vit_tiny_patch16_224", f"{OPTIONS}.dropout=0.5")
    seen: list[Tensor] = []
    backbone.vit.blocks[0].norm1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0][:, 5:]))
    images = images(backbone)
    backbone.train()(images)
    backbone.eval()(images)
    prompts = backbone.vit.blocks[0].prompts.expand(3, -1, -1)
    trained, evaluated = seen
    dropped = trained == 0
    assert 0.4 < dropped.double().mean() < 0.6
    assert not torch.equal(dropped[0], dropped[1])
    torch.testing.assert_close(trained[~dropped], (2 * prompts)[~dropped])
    assert torch.equal(evaluated, prompts)


def rotary_features(backbone: Backbone, images: Tensor, tokens: list[Tensor | None]) -> Tensor:
    """timm's Eva written out: tokens [n, D] of a block stand behind the prefix, unrotated; None: those before go on."""
    vit: Any = bare(backbone)
    prefix, size, heads = vit.num_prefix_tokens, len(images), vit.blocks[0].attn.num_heads
    x, rope = vit._pos_embed(vit.patch_embed(images))
    x = vit.norm_pre(x)
    held = 0
    for block, own in zip(vit.blocks, tokens, strict=True):
        if own is not None:
            x = torch.cat([x[:, :prefix], own.expand(size, -1, -1), x[:, prefix + held :]], dim=1)
            held = len(own)
        attention, normed = block.attn, block.norm1(x)
        weight, bias = attention.qkv.weight, attention.qkv.bias
        if getattr(attention, "q_bias", None) is not None:
            bias = torch.cat([attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias])
        projected = torch.nn.functional.linear(normed, weight, bias)
        q, k, v = projected.reshape(size, x.shape[1], 3, heads, -1).permute(2, 0, 3, 1, 4)
        unrotated = prefix + held
        q, k = (
            torch.cat(
                [one[:, :, :unrotated], apply_rot_embed_cat(one[:, :, unrotated:], rope, half=attention.rotate_half)], 2
            )
            for one in (attention.q_norm(q), attention.k_norm(k))
        )
        mixed = (q @ k.transpose(-2, -1) * attention.scale).softmax(-1) @ v
        mixed = attention.proj(attention.norm(mixed.transpose(1, 2).flatten(2)))
        x = x + (mixed if block.gamma_1 is None else block.gamma_1 * mixed)
        mlp = block.mlp(block.norm2(x))
        x = x + (mlp if block.gamma_2 is None else block.gamma_2 * mlp)
    x = torch.cat([x[:, :prefix], x[:, prefix + held :]], dim=1)
    return vit.forward_head(vit.norm(x), pre_logits=True)


@pytest.mark.parametrize("model", ["eva02_tiny_patch14_224", "vit_small_patch16_dinov3"])
@pytest.mark.parametrize("name", ["vpt_deep", "vpt_shallow", "tokens_standard", "tokens_prop"])
def test_rotary_positions_leave_them_alone(name: str, model: str, make: Make, images: Images) -> None:
    backbone = make(name, model)
    disturb(backbone, std=0.5)
    images = images(backbone)
    parameter = "prompts" if name.startswith("vpt") else "added_mem"
    tokens = [getattr(block, parameter, None) for block in backbone.vit.blocks]
    assert (tokens[1] is None) == (name in ("vpt_shallow", "tokens_prop"))
    expected = rotary_features(backbone, images, [None if one is None else one[0] for one in tokens])
    torch.testing.assert_close(backbone(images), expected, rtol=0, atol=1e-10)
    assert not torch.allclose(expected, features_of(bare(backbone), images), atol=1e-3)


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
@pytest.mark.parametrize("prompts", ["vpt_deep", "vpt_shallow"])
@pytest.mark.parametrize("tokens", ["standard", "prop"])
def test_both_kinds_leave_what_they_did_not_bring(
    tokens: str, prompts: str, model: str, make: Make, images: Images
) -> None:
    """With as many of one kind as of the other, and with other numbers, the model's own tokens come out again."""
    backbone = make(prompts, model, f"method.tokens.type={tokens}", "method.tokens.number=3", f"{OPTIONS}.number=2")
    images = images(backbone)
    own: list[Tensor] = []
    for block in backbone.vit.blocks:  # blocks that do nothing
        block.forward = lambda x, **_: x
    backbone.vit.norm.register_forward_hook(lambda module, inputs, output: own.append(inputs[0]))
    backbone.vit.fc_norm.register_forward_hook(lambda module, inputs, output: own.append(inputs[0]))
    backbone(images)
    plain: Any = bare(backbone)
    embedded = plain._pos_embed(plain.patch_embed(images))
    assert torch.equal(own[0], embedded[0] if isinstance(embedded, tuple) else embedded)
