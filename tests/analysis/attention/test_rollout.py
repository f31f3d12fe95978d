"""Rollout against the paper's formula written token by token, and the weights against timm's own unfused path."""

from typing import Any

import pytest
import torch
from torch import Tensor

from analysis.attention.rollout import block_attention, rollout
from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import ModelConfig, PeftConfig, TokensConfig, TokenType
from hma_ft.errors import UserError

SIZE = 16
MICRO = {"patch_size": 4, "embed_dim": 16, "depth": 3, "num_heads": 2}


def backbone(
    tokens: TokenType = TokenType.none,
    name: str = "vit_tiny_patch16_224",
    peft: PeftConfig | None = None,
    **options: Any,
) -> Backbone:
    torch.manual_seed(0)
    config = ModelConfig(name=name, pretrained=False, image_size=SIZE, options=MICRO | options)
    tokens_config = TokensConfig(type=tokens, number=2)
    built = create_backbone(config, image_size=SIZE, tokens=tokens_config, peft=peft).double().eval()
    with torch.no_grad():  # so that attention isn't even
        for block in built.vit.blocks:
            block.attn.qkv.weight.normal_(std=0.5)
    return built


def images() -> Tensor:
    return torch.randint(256, (2, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def timm_weights(model: Backbone, images: Tensor) -> list[Tensor]:
    """What timm's unfused attention hands to its dropout layer."""
    seen: list[Tensor] = []
    hooks = []
    for block in model.vit.blocks:
        block.attn.fused_attn = False
        hooks.append(block.attn.attn_drop.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0])))
    with torch.no_grad():
        model(images)
    for hook in hooks:
        hook.remove()
    return seen


def dense(weights: list[Tensor], image: int, pooled: list[int], kept: int) -> list[float]:
    """Shares of the input tokens, by following every path backwards; tokens from `kept` on end it in each block."""
    count = kept or weights[0].shape[-1]
    reached = [1.0 / len(pooled) if token in pooled else 0.0 for token in range(count)]
    for block in reversed(weights):
        mean = block[image].mean(0)
        before = [0.0] * count
        for token, share in enumerate(reached):
            for source in range(count):
                before[source] += share * (0.5 * float(mean[token, source]) + (0.5 if source == token else 0.0))
        reached = before
    return reached


def prompts(*, deep: bool) -> PeftConfig:
    """Three of them."""
    options = {"deep": deep, "number": 3, "dropout": 0.0}
    return PeftConfig("vpt", "hma_ft.peft.prompts.add_prompts", options=options)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_weights_are_those_of_timm(qk_norm: bool) -> None:
    model = backbone(qk_norm=qk_norm)
    own = block_attention(model, images())
    for mine, timms in zip(own, timm_weights(model, images()), strict=True):
        torch.testing.assert_close(mine, timms, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("tokens", "options", "pooled", "kept", "prefix"),
    [
        (TokenType.none, {}, [0], 0, 1),
        (TokenType.prop, {}, [0], 0, 1),
        (TokenType.standard, {}, [0], 17, 1),
        (TokenType.none, {"global_pool": "avg", "class_token": False, "fc_norm": False}, list(range(16)), 0, 0),
        (TokenType.none, {"reg_tokens": 2}, [0], 0, 3),
        (TokenType.none, {"peft": prompts(deep=False)}, [0], 0, 1),
        (TokenType.none, {"peft": prompts(deep=True)}, [0], 17, 1),
        (TokenType.standard, {"peft": prompts(deep=True)}, [0], 17, 1),
        (TokenType.none, {"peft": PeftConfig("ssf", "hma_ft.peft.ssf.add_scale_shift")}, [0], 0, 1),
    ],
)
def test_rollout_is_the_sum_over_all_paths(
    tokens: TokenType, options: dict[str, Any], pooled: list[int], kept: int, prefix: int
) -> None:
    model = backbone(tokens, **options)
    patches, rest = rollout(model, images())
    assert patches.shape == (2, 4, 4)
    torch.testing.assert_close(patches.sum((1, 2)) + rest, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
    weights = timm_weights(model, images())
    for image in range(2):
        expected = torch.tensor(dense(weights, image, pooled, kept), dtype=torch.float64)[prefix : prefix + 16]
        torch.testing.assert_close(patches[image].flatten(), expected, rtol=0, atol=1e-12)
        assert patches[image].std() > 1e-4


def test_a_distilled_model_pools_two_tokens() -> None:
    model = backbone(name="deit_tiny_distilled_patch16_224")
    patches, _ = rollout(model, images())
    expected = torch.tensor(dense(timm_weights(model, images()), 0, [0, 1], 0), dtype=torch.float64)
    torch.testing.assert_close(patches[0].flatten(), expected[2:], rtol=0, atol=1e-12)


def test_no_hook_stays() -> None:
    model = backbone()
    rollout(model, images())
    assert not any(module._forward_hooks for module in model.vit.modules())


def test_relative_positions_are_refused() -> None:
    config = ModelConfig(name="beit_base_patch16_224", pretrained=False, image_size=SIZE, options=MICRO)
    model = create_backbone(config, image_size=SIZE, tokens=TokensConfig())
    with pytest.raises(UserError, match="plain attention"):
        rollout(model, images())
