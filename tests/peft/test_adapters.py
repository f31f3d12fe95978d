"""Adapters against a block written out, on the blocks of every architecture that takes them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from tests.peft.conftest import MODELS, Make, disturb

OPTIONS = "method.peft.options"
Images = Callable[[Backbone], Tensor]
BLOCKS = [
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "vit_small_patch14_reg4_dinov2",
    "eva02_tiny_patch14_224",
]


def bottleneck(module: Any, inputs: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    hidden = activation(inputs @ module.down.weight.T + module.down.bias)
    return hidden @ module.up.weight.T + module.up.bias


def branches(block: Any, inputs: Tensor, rest: dict[str, Any]) -> Callable[[int, Tensor], Tensor]:
    """branch(1, x), branch(2, x): attention and MLP of the bare block, layer scale applied."""

    def branch(number: int, x: Tensor) -> Tensor:
        out = block.attn(block.norm1(x), **rest) if number == 1 else block.mlp(block.norm2(x))
        scale = getattr(block, f"ls{number}", nn.Identity())
        gamma = getattr(block, f"gamma_{number}", None)
        return scale(out) if gamma is None else gamma * out

    return branch


def last_block(backbone: Backbone, images: Tensor) -> tuple[Any, Tensor, dict[str, Any], Tensor]:
    """The last block with its inputs and output in a forward pass."""
    seen: list[Any] = []
    block = backbone.vit.blocks[-1]
    hook = block.register_forward_hook(
        lambda module, inputs, kwargs, output: seen.extend([inputs[0], kwargs, output]), with_kwargs=True
    )
    backbone(images)
    hook.remove()
    inputs, kwargs, output = seen
    return block, inputs, {key: value for key, value in kwargs.items() if key == "rope"}, output


@pytest.mark.parametrize("model", BLOCKS)
@pytest.mark.parametrize("placement", ["houlsby", "pfeiffer"])
def test_adapters_in_series(placement: str, model: str, make: Make, images: Images) -> None:
    backbone = make("adapter", model, f"{OPTIONS}.placement={placement}", f"{OPTIONS}.scale=0.5")
    disturb(backbone)
    block, x, rest, output = last_block(backbone, images(backbone))
    branch = branches(block, x, rest)
    attention = branch(1, x)
    if placement == "houlsby":
        attention = attention + 0.5 * bottleneck(block.drop_path1.adapter, attention, nn.functional.gelu)
    x = x + attention
    mlp = branch(2, x)
    x = x + mlp + 0.5 * bottleneck(block.drop_path2.adapter, mlp, nn.functional.gelu)
    torch.testing.assert_close(output, x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", [*BLOCKS, "beit_base_patch16_224"])
def test_adaptformer_reads_the_mlps_branch_before_its_norm(model: str, make: Make, images: Images) -> None:
    backbone = make("adaptformer", model, f"{OPTIONS}.bottleneck=5")
    disturb(backbone)
    block, x, rest, output = last_block(backbone, images(backbone))
    assert block.drop_path2.adaptformer.held is None  # no activation is kept beyond its use
    branch = branches(block, x, rest)
    x = x + branch(1, x)
    x = x + branch(2, x) + 0.1 * bottleneck(block.drop_path2.adaptformer, x, nn.functional.relu)
    torch.testing.assert_close(output, x, rtol=0, atol=1e-10)


def test_drop_path_leaves_the_parallel_adapter_alone(make: Make, images: Images) -> None:
    backbone = make("adaptformer", "vit_tiny_patch16_224", "method.peft.drop_path=0.999999", f"{OPTIONS}.dropout=0")
    disturb(backbone)
    backbone.train()
    block, x, _, output = last_block(backbone, images(backbone))
    expected = x + 0.1 * bottleneck(block.drop_path2.adaptformer, x, nn.functional.relu)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_adapter_plus_stands_behind_any_block(model: str, make: Make, images: Images) -> None:
    backbone = make("adapter_plus", model)
    disturb(backbone)
    bare: list[Tensor] = []
    block = backbone.vit.blocks[-1]
    block.register_forward_hook(lambda module, inputs, output: bare.append(output), prepend=True)
    _, _, _, output = last_block(backbone, images(backbone))
    adapter = block.adapter_plus
    expected = bare[0] + bottleneck(adapter.bottleneck, bare[0], nn.functional.gelu) * adapter.scale
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-10)


def test_adapter_plus_begins_small_and_cut_off(make: Make) -> None:
    backbone = make("adapter_plus", "vit_tiny_patch16_224", f"{OPTIONS}.bottleneck=400")
    for block in backbone.vit.blocks:
        for layer in (block.adapter_plus.bottleneck.down, block.adapter_plus.bottleneck.up):
            assert layer.weight.abs().max() <= 0.02
            assert layer.weight.std().item() == pytest.approx(0.0088, rel=0.05)  # 0.01, cut off at two deviations
            assert not layer.bias.any()
        assert block.adapter_plus.scale.eq(1).all()


def test_adapter_plus_drops_whole_images_half_of_the_time(make: Make) -> None:
    backbone = make("adapter_plus", "vit_tiny_patch16_224", f"{OPTIONS}.drop_path=0.5", "method.peft.drop_path=0")
    disturb(backbone)
    adapter = backbone.train().vit.blocks[0].adapter_plus
    inputs = torch.randn(400, 5, 48, dtype=torch.float64)
    output = adapter(inputs)
    dropped = output.flatten(1).eq(0).all(1)
    assert 150 < int(dropped.sum()) < 250
    kept = 2 * bottleneck(adapter.bottleneck, inputs, nn.functional.gelu) * adapter.scale
    torch.testing.assert_close(output[~dropped], kept[~dropped], rtol=0, atol=1e-10)
