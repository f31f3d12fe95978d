"""Every kind of Vision Transformer gives timm's own pre-logits feature; others are refused in one line."""

from typing import Any

import pytest
import timm
import torch

from hma_ft.backbone import BackboneSpec, backbone_spec, check_name, create_backbone
from hma_ft.config.schema import ModelConfig, TokensConfig
from hma_ft.errors import UserError

SHALLOW = {"depth": 2}
MODELS = [
    ("vit_tiny_patch16_224", SHALLOW, 192),
    ("vit_small_patch16_224", SHALLOW, 384),
    ("vit_base_patch32_224.augreg_in21k", SHALLOW, 768),
    ("vit_medium_patch16_gap_240", SHALLOW, 512),  # no class token, average pooling
    ("vit_small_patch14_reg4_dinov2", SHALLOW, 384),  # class token and registers
    ("vit_medium_patch16_reg4_gap_256", SHALLOW, 512),  # registers only
    ("vit_base_patch16_clip_224", SHALLOW, 768),  # norm before the blocks
    ("vit_base_patch16_siglip_224", SHALLOW, 768),  # attention pooling
    ("deit_tiny_distilled_patch16_224", SHALLOW, 192),
    ("deit3_small_patch16_224", SHALLOW, 384),  # layer scale, no position of the class token
    ("vit_tiny_patch16_224", SHALLOW | {"global_pool": "avg"}, 192),  # norm after pooling
    ("eva02_tiny_patch14_224", SHALLOW, 192),  # rotary positions
    ("beit_base_patch16_224", SHALLOW, 768),  # relative positions
]


@pytest.mark.parametrize(("name", "options", "width"), MODELS)
def test_feature_is_what_timm_gives_to_its_classifier(name: str, options: dict[str, Any], width: int) -> None:
    config = ModelConfig(name=name, pretrained=False, options=options)
    image_size = 2 * int(name.split("patch")[1][:2])
    backbone = create_backbone(config, image_size=image_size, tokens=TokensConfig()).eval()
    reference = timm.create_model(name, num_classes=width, img_size=image_size, **options).eval()
    heads = [module for key, module in reference.named_children() if key in ("head", "head_dist")]
    for head in heads:  # the identity as a classifier: logits are features
        torch.nn.init.eye_(head.weight)
        torch.nn.init.zeros_(head.bias)
    reference.load_state_dict(backbone.vit.state_dict(), strict=False)
    images = torch.randn(2, 3, image_size, image_size)

    with torch.no_grad():
        torch.testing.assert_close(backbone(images), reference(images))
    assert (backbone.width, backbone.depth) == (width, 2)
    assert backbone_spec(config, image_size)[:2] == (width, 2)
    assert not [name for name, _ in backbone.named_parameters() if "head." in name]


def test_preparation_is_the_models_own() -> None:
    augreg, deit, clip = (
        create_backbone(ModelConfig(name=name, pretrained=False, options=SHALLOW), image_size=64, tokens=TokensConfig())
        for name in ("vit_base_patch32_224.augreg_in21k", "deit_tiny_patch16_224", "vit_base_patch32_clip_224.openai")
    )
    assert augreg.mean.flatten().tolist() == augreg.std.flatten().tolist() == [0.5, 0.5, 0.5]
    assert deit.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert clip.std.flatten().tolist() == pytest.approx([0.26862954, 0.26130258, 0.27577711])
    assert (augreg.interpolation, augreg.crop_ratio) == ("bicubic", 0.9)
    assert (clip.interpolation, clip.crop_ratio) == ("bicubic", 0.9)
    assert deit.state_dict().keys() == {f"vit.{key}" for key in deit.vit.state_dict()}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vit_base_patch23_224", r"model.name=vit_base_patch23_224.*did you mean .*vit_base_patch32_224"),
        ("vit_base_patch32_224.augreg_in22k", r"no weights tagged 'augreg_in22k'; known: .*augreg_in21k"),
        ("resnet50", r"resnet50 is not a Vision Transformer"),
        ("swin_tiny_patch4_window7_224", r"is not a Vision Transformer"),
        ("zzz", r"no model 'zzz'"),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        check_name(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("image_size", "options", "message"),
    [
        (100, {}, r"augment.image_size=100: not a multiple of the 16 pixel patches.*use 96 or 112"),
        (8, {}, r"augment.image_size=8.*use 16"),
        (0, {}, r"augment.image_size=0"),
        (32, {"deth": 2}, r"model.options=.*deth"),
        (32, {"num_heads": 5}, r"model.options=.*num_heads"),
        (32, {"class_token": False}, r"model.options=.*[Tt]oken"),
        (32, {"img_size": 64}, r"model.options.img_size: set by augment.image_size"),
        (32, {"global_pool": ""}, r"no pooling; set model.options.global_pool=avg"),
    ],
)
def test_sizes_and_options_that_do_not_fit_are_refused(image_size: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        backbone_spec(ModelConfig(name="vit_tiny_patch16_224", pretrained=False, options=options), image_size)
    assert "\n" not in str(refused.value)


def test_outline_holds_no_weights() -> None:
    assert backbone_spec(ModelConfig(name="vit_giant_patch14_dinov2", pretrained=False), 224) == BackboneSpec(
        1536, 40, True
    )
    assert not backbone_spec(ModelConfig(name="vit_medium_patch16_gap_240", pretrained=False), 240).has_class_token


def test_models_without_weights_say_so_before_they_are_built() -> None:
    with pytest.raises(UserError, match=r"timm has no weights for it; give a local file as model.weights=FILE"):
        create_backbone(ModelConfig(name="vit_base_patch32_plus_256"), image_size=256, tokens=TokensConfig())
