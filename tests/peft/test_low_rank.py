"""LoRA and DoRA against Hugging Face's peft: output and gradients for the same A and B."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor

from hma_ft.backbone.backbone import Backbone
from hma_ft.peft.lora import low_rank_layers
from tests.peft.conftest import Make, bare, disturb, features_of

OPTIONS = "method.peft.options"
Images = Callable[[Backbone], Tensor]


def oracle(backbone: Backbone, *, dora: bool) -> Any:
    """peft's model on the same timm weights with the same A, B and magnitudes; single targets as one padded B."""
    layers = low_rank_layers(backbone.vit)
    first = next(iter(layers.values()))
    pairs = len(first.starts)
    config = LoraConfig(
        r=pairs * first.rank,
        lora_alpha=pairs * first.alpha,
        target_modules=list(layers),
        use_dora=dora,
        lora_dropout=0.0,
    )
    model = get_peft_model(bare(backbone), config).double().eval()
    with torch.no_grad():
        for name, layer in layers.items():
            theirs = model.get_submodule(f"base_model.model.{name}")
            theirs.lora_A["default"].weight.copy_(layer.a.flatten(0, 1))
            padded = torch.zeros_like(theirs.lora_B["default"].weight)
            for index, start in enumerate(layer.starts):
                rows, columns = (
                    slice(start, start + layer.b.shape[1]),
                    slice(index * layer.rank, (index + 1) * layer.rank),
                )
                padded[rows, columns] = layer.b[index]
            theirs.lora_B["default"].weight.copy_(padded)
            if dora:
                theirs.lora_magnitude_vector["default"].weight.copy_(layer.magnitude)
    return model


@pytest.mark.parametrize("targets", ["[qkv]", "[q,v]", "[q,k,v]", "[k]"])
@pytest.mark.parametrize("name", ["lora", "dora"])
def test_output_and_gradients_are_those_of_peft(name: str, targets: str, make: Make, images: Images) -> None:
    options = [f"{OPTIONS}.rank=3", f"{OPTIONS}.alpha=2", f"{OPTIONS}.targets={targets}"]
    backbone = make(name, "vit_tiny_patch16_224", *options)
    disturb(backbone)
    theirs = oracle(backbone, dora=name == "dora")
    images = images(backbone)
    own, other = backbone(images), features_of(theirs.base_model.model, images)
    torch.testing.assert_close(own, other, rtol=0, atol=1e-10)
    assert not torch.allclose(own, features_of(bare(backbone), images), atol=1e-3)

    for features in (own, other):
        features.square().sum().backward()
    for key, layer in low_rank_layers(backbone.vit).items():
        peer = theirs.get_submodule(f"base_model.model.{key}")
        torch.testing.assert_close(layer.a.grad.flatten(0, 1), peer.lora_A["default"].weight.grad, rtol=0, atol=1e-9)
        for index, start in enumerate(layer.starts):
            rows, columns = slice(start, start + layer.b.shape[1]), slice(3 * index, 3 * index + 3)
            expected = peer.lora_B["default"].weight.grad[rows, columns]
            torch.testing.assert_close(layer.b.grad[index], expected, rtol=0, atol=1e-9)
        if name == "dora":
            magnitudes = peer.lora_magnitude_vector["default"].weight.grad
            torch.testing.assert_close(layer.magnitude.grad, magnitudes, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("rank", "alpha", "scale"), [(8, 1, 0.125), (2, 8, 4.0), (4, 2, 0.5)])
def test_the_scale_is_alpha_over_rank_also_below_one(
    rank: int, alpha: int, scale: float, make: Make, images: Images
) -> None:
    backbone = make("lora", "vit_tiny_patch16_224", f"{OPTIONS}.rank={rank}", f"{OPTIONS}.alpha={alpha}")
    disturb(backbone)
    layer = backbone.vit.blocks[1].attn.qkv
    inputs = torch.randn(5, 48, dtype=torch.float64)
    expected = inputs @ (layer.weight + scale * layer.lora.b[0] @ layer.lora.a[0]).T + layer.bias
    torch.testing.assert_close(layer(inputs), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("targets", ["[q,k,v]", "[q,v]"])
@pytest.mark.parametrize("name", ["lora", "dora"])
def test_layers_of_their_own_for_queries_keys_and_values(name: str, targets: str, make: Make, images: Images) -> None:
    backbone = make(name, "eva02_base_patch14_224", f"{OPTIONS}.targets={targets}")
    wanted = [f"{part}_proj" for part in targets.strip("[]").split(",")]
    assert list(low_rank_layers(backbone.vit)) == [f"blocks.{i}.attn.{part}" for i in (0, 1) for part in wanted]
    disturb(backbone)
    images = images(backbone)
    expected = backbone(images)
    backbone.merge()
    torch.testing.assert_close(features_of(bare(backbone), images), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", ["beit_base_patch16_224", "eva02_tiny_patch14_224"])
def test_a_fused_layer_that_timm_reads_without_calling_it_is_adapted_all_the_same(
    model: str, make: Make, images: Images
) -> None:
    """Against timm's own path, F.linear(x, qkv.weight, ...), with W + s B A in the weight's place."""
    backbone = make("lora", model, f"{OPTIONS}.targets=[q,v]")
    disturb(backbone)
    vit: Any = bare(backbone)
    assert not vit.blocks[0].attn.qkv_bias_separate
    with torch.no_grad():
        for plain, block in zip(vit.blocks, backbone.vit.blocks, strict=True):
            lora = block.attn.qkv.lora
            for index, start in ((0, 0), (1, 96)):
                plain.attn.qkv.weight[start : start + 48] += lora.scale * lora.b[index] @ lora.a[index]
    images = images(backbone)
    torch.testing.assert_close(backbone(images), features_of(vit, images), rtol=0, atol=1e-10)


def test_dropout_acts_on_the_input_of_a(make: Make) -> None:
    backbone = make("lora", "vit_tiny_patch16_224", f"{OPTIONS}.dropout=0.5")
    disturb(backbone)
    layer = backbone.train().vit.blocks[0].attn.qkv
    inputs = torch.ones(1000, 48, dtype=torch.float64)
    update = (layer(inputs) - torch.nn.functional.linear(inputs, layer.weight, layer.bias)).detach()
    expected = layer.lora.update.__self__.scale * layer.lora.b[0] @ layer.lora.a[0].sum(1)
    assert update.std(0).min() > 0  # each row has a mask of its own
    torch.testing.assert_close(update.mean(0), expected.detach(), rtol=0, atol=0.1 * float(update.std(0).max()))
