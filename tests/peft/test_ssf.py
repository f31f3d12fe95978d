"""SSF against the paper's equation at every layer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from tests.peft.conftest import MODELS, Make, bare, disturb, features_of, trainable

Images = Callable[[Backbone], Tensor]


@torch.no_grad()
def reset(backbone: Backbone) -> None:
    for name, value in trainable(backbone).items():
        value.fill_(1.0 if name.endswith("gamma") else 0.0)


@pytest.mark.parametrize("model", MODELS)
def test_gamma_1_and_beta_0_are_the_bare_model_bit_for_bit(model: str, make: Make, images: Images) -> None:
    backbone = make("ssf", model)
    reset(backbone)
    vit: Any = bare(backbone)
    for module in vit.modules():  # biases of the fused layer are added apart, which rounds otherwise
        if hasattr(module, "qkv_bias_separate"):
            module.qkv_bias_separate = True
    images = images(backbone)
    with torch.no_grad():  # where gradients are asked for, another kernel computes attention with a bias
        assert torch.equal(backbone(images), features_of(vit, images))


def test_initial_values(make: Make) -> None:
    values = {name: value.detach() for name, value in trainable(make("ssf")).items()}
    gammas = torch.cat([value for name, value in values.items() if name.endswith("gamma")])
    betas = torch.cat([value for name, value in values.items() if name.endswith("beta")])
    assert len(gammas) == len(betas) == 2 * 11 * 48 + 2 * 48
    for drawn, mean in ((gammas, 1.0), (betas, 0.0)):
        assert drawn.mean().item() == pytest.approx(mean, abs=0.003)
        assert drawn.std().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "beit_base_patch16_224", "eva02_tiny_patch14_224"])
def test_every_layer_of_a_block_is_scaled_and_shifted(model: str, make: Make, images: Images) -> None:
    """Against the bare model, whose layers give gamma (W x + b) + beta by a hook on what they give to the next one."""
    backbone = make("ssf", model)
    disturb(backbone)
    vit: Any = bare(backbone)
    for module in vit.modules():
        if hasattr(module, "qkv_bias_separate"):
            module.qkv_bias_separate = True

    def follow(name: str) -> None:
        ssf = backbone.vit.get_submodule(name).ssf
        shape = (-1, 1, 1) if name == "patch_embed.proj" else (-1,)
        attention = vit.get_submodule(name.rpartition(".")[0])
        biases = 0
        if name.endswith("qkv") and getattr(attention, "q_bias", None) is not None:
            biases = torch.cat([attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias])

        def change(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            return (output + biases) * ssf.gamma.view(shape) + ssf.beta.view(shape) - biases

        vit.get_submodule(name).register_forward_hook(change)

    names = ["patch_embed.proj", *(n for n, m in vit.named_modules() if isinstance(m, (nn.Linear, nn.LayerNorm)))]
    assert {f"{name}.ssf.{part}" for name in names for part in ("gamma", "beta")} == set(trainable(backbone))
    for name in names:
        follow(name)
    images = images(backbone)
    torch.testing.assert_close(backbone(images), features_of(vit, images), rtol=0, atol=1e-10)
