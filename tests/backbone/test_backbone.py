"""What trains, what prepares the images, and which layer a parameter belongs to."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from timm.optim import param_groups_layer_decay

from hma_ft.backbone import Backbone, create_backbone
from hma_ft.config.schema import BackboneTuning, ModelConfig, TokensConfig
from hma_ft.errors import UserError

FULL, FROZEN = BackboneTuning.full, BackboneTuning.frozen


def trainable(backbone: Backbone) -> set[str]:
    return {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}


def test_images_of_0_to_1_without_mean_and_std(images: torch.Tensor) -> None:
    config = ModelConfig("vit_tiny_patch16_224", pretrained=False, options={"depth": 1, "patch_size": 4})
    with_mean, without = (
        create_backbone(replace(config, normalise=normalise), image_size=32, tokens=TokensConfig()).eval()
        for normalise in (True, False)
    )
    without.load_state_dict(with_mean.state_dict())
    assert without.mean_colour == (0, 0, 0) and with_mean.mean_colour == (128, 128, 128)
    torch.testing.assert_close(without(images), with_mean(images.float() / 255))


def test_uint8_and_normalised_images_agree(micro: Callable[..., Backbone], images: torch.Tensor) -> None:
    backbone = micro().double()
    mean = torch.tensor([0.5, 0.5, 0.5]).view(3, 1, 1)
    normalised = (images.double() / 255 - mean) / mean
    torch.testing.assert_close(backbone(images), backbone(normalised), rtol=1e-12, atol=1e-12)
    assert backbone(images).dtype == torch.float64


@pytest.mark.parametrize("tokens", ["none", "standard", "prop"])
@pytest.mark.parametrize("class_token", [False, True])
def test_frozen_trains_tokens_and_class_token_only(
    tokens: str, class_token: bool, micro: Callable[..., Backbone], images: torch.Tensor
) -> None:
    backbone = micro(tokens)
    backbone.set_trainable(FROZEN, class_token)
    memory = {"none": [], "prop": [0], "standard": [0, 1, 2]}[tokens]
    expected = {f"vit.blocks.{index}.added_mem" for index in memory} | ({"vit.cls_token"} if class_token else set())
    assert trainable(backbone) == expected
    assert backbone.trains == bool(expected)

    features = backbone(images)
    assert features.requires_grad == bool(expected)
    if expected:
        features.square().sum().backward()
    assert {name for name, value in backbone.named_parameters() if value.grad is not None} == expected
    assert all(value.grad.abs().max() > 0 for value in backbone.parameters() if value.grad is not None)


def test_full_trains_everything_and_can_follow_frozen(micro: Callable[..., Backbone], images: torch.Tensor) -> None:
    backbone = micro("prop")
    backbone.set_trainable(FROZEN, class_token=False)
    backbone.set_trainable(FULL, class_token=False)
    assert trainable(backbone) == {name for name, _ in backbone.named_parameters()}
    backbone.train()(images).square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_frozen_stays_in_eval_mode_without_dropout(micro: Callable[..., Backbone], images: torch.Tensor) -> None:
    backbone = micro("standard", proj_drop_rate=0.5, pos_drop_rate=0.5)
    backbone.train()
    assert not torch.equal(backbone(images), backbone(images))
    backbone.set_trainable(FROZEN, class_token=True)
    for _ in range(2):
        assert not any(module.training for module in backbone.modules())
        assert torch.equal(backbone(images), backbone(images))
        backbone.train()
    torch.nn.Sequential(backbone).train()
    assert not backbone.vit.training


def test_frozen_builds_no_graph_even_for_images_that_take_gradients(micro: Callable[..., Backbone]) -> None:
    backbone = micro()
    backbone.set_trainable(FROZEN, class_token=False)
    assert not backbone(torch.randn(2, 3, 32, 32, requires_grad=True)).requires_grad


def test_distillation_token_is_a_class_token() -> None:
    config = ModelConfig(name="deit_tiny_distilled_patch16_224", pretrained=False, options={"depth": 1})
    backbone = create_backbone(config, image_size=32, tokens=TokensConfig())
    backbone.set_trainable(FROZEN, class_token=True)
    assert trainable(backbone) == {"vit.cls_token", "vit.dist_token"}


def test_class_token_of_a_model_without_one_is_refused(micro: Callable[..., Backbone]) -> None:
    backbone = micro(class_token=False, global_pool="avg")
    backbone.set_trainable(FULL, class_token=True)
    with pytest.raises(UserError, match=r"method.class_token=true: .* has no class token"):
        backbone.set_trainable(FROZEN, class_token=True)


@pytest.mark.parametrize("options", [{}, {"global_pool": "avg"}, {"reg_tokens": 2, "pre_norm": True}])
def test_layers_are_those_of_timm(options: dict, micro: Callable[..., Backbone]) -> None:
    backbone = micro("standard", **options)
    groups = param_groups_layer_decay(
        backbone.vit, weight_decay=0.1, no_weight_decay_list=backbone.vit.no_weight_decay(), layer_decay=0.5
    )
    scales = {id(parameter): group["lr_scale"] for group in groups for parameter in group["params"]}
    top = max(backbone.layer_of(name) for name, _ in backbone.named_parameters())
    for name, parameter in backbone.named_parameters():
        assert scales[id(parameter)] == 0.5 ** (top - backbone.layer_of(name)), name
    assert backbone.layer_of("vit.patch_embed.proj.weight") == backbone.layer_of("vit.cls_token") == 0
    assert backbone.layer_of("vit.blocks.2.added_mem") == backbone.depth == 3
    if "global_pool" in options:
        assert backbone.layer_of("vit.fc_norm.weight") == backbone.depth + 1


def test_no_weight_decay_names_embeddings_and_tokens(micro: Callable[..., Backbone]) -> None:
    assert micro("prop", reg_tokens=2).no_weight_decay() == {
        "vit.pos_embed",
        "vit.cls_token",
        "vit.reg_token",
        "vit.blocks.0.added_mem",
    }
