"""Memory tokens: the released numbers, and timm's own forward pass around them."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hma_ft.backbone import Backbone, create_backbone
from hma_ft.config.schema import BackboneTuning, ModelConfig, TokensConfig, TokenType
from hma_ft.errors import UserError

TYPES = ["standard", "prop"]
POOLINGS = [{"global_pool": "avg"}, {"global_pool": "avg", "class_token": False}, {"global_pool": "map"}]


@pytest.mark.parametrize("tokens", ["none", *TYPES])
def test_agrees_with_the_released_numbers(tokens: str, micro: Callable[..., Backbone], shared: Path) -> None:
    with np.load(shared / "parity" / f"tokens_{tokens}.npz") as numbers:
        released = {key: numbers[key] for key in numbers.files}
    config = json.loads(str(released["config"]))
    assert config.get("mem_type", "none") == tokens
    state = {key[6:]: torch.from_numpy(value) for key, value in released.items() if key.startswith("state/")}
    model = nn.ModuleDict(
        {"vit": micro(tokens, config.get("add_mem_num", 3)).double(), "head": nn.Linear(24, 5).double()}
    )
    backbone, head = model["vit"], model["head"]
    backbone.vit.load_state_dict({key: value for key, value in state.items() if not key.startswith("head.")})
    head.load_state_dict({"weight": state["head.weight"], "bias": state["head.bias"]})

    features = backbone(torch.from_numpy(released["x"]))
    logits = head(features)
    nn.functional.cross_entropy(logits, torch.from_numpy(released["y"])).backward()

    np.testing.assert_allclose(features.detach(), released["features"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(logits.detach(), released["logits"], rtol=0, atol=1e-9)
    parameters = {**dict(backbone.vit.named_parameters()), "head.weight": head.weight}
    gradients = {key[5:]: value for key, value in released.items() if key.startswith("grad/")}
    assert len(gradients) >= 3
    for name, gradient in gradients.items():
        np.testing.assert_allclose(parameters[name].grad, gradient, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("tokens", TYPES)
def test_initial_values_and_count(tokens: str, micro: Callable[..., Backbone]) -> None:
    values = [value for name, value in micro(tokens, number=200).named_parameters() if name.endswith("added_mem")]
    assert [tuple(value.shape) for value in values] == [(1, 200, 24)] * (3 if tokens == "standard" else 1)
    assert torch.cat(values).std().item() == pytest.approx(0.02, rel=0.05)
    assert torch.cat(values).mean().item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("tokens", TYPES)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_never_sees_the_tokens(
    tokens: str, pooling: dict[str, Any], micro: Callable[..., Backbone], images: torch.Tensor
) -> None:
    backbone = micro(tokens, **pooling)
    lengths = []
    backbone.vit.norm.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    assert backbone(images).shape == (4, 24)
    assert lengths == [16 + (pooling.get("class_token", True))]


@pytest.mark.parametrize("tokens", TYPES)
def test_registers_pre_norm_and_patch_dropout_stay_in_place(
    tokens: str, micro: Callable[..., Backbone], images: torch.Tensor
) -> None:
    backbone = micro(tokens, reg_tokens=2, pre_norm=True, patch_drop_rate=0.5, num_heads=4)
    lengths = []
    for block in backbone.vit.blocks:
        block.norm1.register_forward_hook(lambda module, inputs, output: lengths.append(output.shape[1]))
    backbone.train()(images)
    assert lengths == [1 + 2 + 8 + 3] * 3  # class token, registers, half of the patches, memory


@pytest.mark.parametrize("tokens", ["none", *TYPES])
def test_gradient_checkpointing_changes_no_number(
    tokens: str, micro: Callable[..., Backbone], images: torch.Tensor
) -> None:
    plain = micro(tokens)
    saving = micro(tokens, checkpointing=True)
    saving.load_state_dict(plain.state_dict())
    for backbone in (plain, saving):
        backbone.train()(images).square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


@pytest.mark.parametrize("tokens", ["none", *TYPES])
def test_compiles_into_one_graph(tokens: str, micro: Callable[..., Backbone], images: torch.Tensor) -> None:
    backbone = micro(tokens)
    backbone.set_trainable(BackboneTuning.frozen if tokens == "none" else BackboneTuning.full, class_token=False)
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), backbone(images))


@pytest.mark.parametrize("tokens", TYPES)
def test_a_copy_reads_its_own_tokens(tokens: str, micro: Callable[..., Backbone], images: torch.Tensor) -> None:
    backbone = micro(tokens)
    before = backbone(images)
    twin = copy.deepcopy(backbone)
    with torch.no_grad():
        twin.vit.blocks[0].added_mem.add_(1.0)
    assert torch.equal(backbone(images), before)
    assert not torch.allclose(twin(images), before)


def test_refuses_relative_positions_and_no_tokens(micro: Callable[..., Backbone]) -> None:
    small = {"depth": 1, "embed_dim": 24, "num_heads": 2}
    config = ModelConfig(name="beit_base_patch16_224", pretrained=False, options=small)
    with pytest.raises(UserError, match=r"method.tokens.type=prop.*Beit"):
        create_backbone(config, image_size=32, tokens=TokensConfig(TokenType.prop))
    with pytest.raises(UserError, match=r"method.tokens.number=0"):
        micro("prop", number=0)
