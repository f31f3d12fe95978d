"""Small backbones of every kind, adapted as conf/method/peft says."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import BackboneTuning, MethodConfig, ModelConfig
from tests.config.test_compose import CONF, composed

NAMES = sorted(path.stem for path in (CONF / "method/peft").glob("*.yaml") if path.stem != "none")
VIT = "vit_tiny_patch16_224"
# Every kind of accepted ViT, small: two blocks of width 48; layer scale at 1, where a change is seen.
MODELS: dict[str, dict[str, Any]] = {
    VIT: {},
    "vit_medium_patch16_gap_240": {"init_values": 1.0},  # no class token, average pooling
    "vit_small_patch14_reg4_dinov2": {"init_values": 1.0},  # class token and registers
    "vit_base_patch16_clip_224": {},  # norm before the blocks
    "vit_base_patch16_siglip_224": {},  # attention pooling
    "deit_tiny_distilled_patch16_224": {},
    "beit_base_patch16_224": {"init_values": 1.0},  # relative positions; the fused layer isn't called
    "eva02_tiny_patch14_224": {},  # rotary positions; the fused layer isn't called
    "eva02_base_patch14_224": {},  # layers of their own for queries, keys and values
    "vit_small_patch16_dinov3": {"init_values": 1.0},  # rotary positions, registers
    "aimv2_large_patch14_224": {},  # RMS norms, no biases, gated MLP
    "vit_tiny_r_s16_p8_224": {},  # hybrid: a ResNet before the blocks
    "vit_small_patch16_18x2_224": {"init_values": 1.0},  # parallel branches
    "vit_base_patch16_xp_224": {},  # attention and MLP from one layer
    "vit_dwee_patch16_reg1_gap_256": {},  # differential attention
}
SIZES = {"patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 4}
Make = Callable[..., Backbone]


@pytest.fixture(autouse=True)
def _quick_and_seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@cache
def method_config(name: str, *overrides: str) -> MethodConfig:
    """A linear head on a frozen backbone with `method/peft=name`."""
    return composed("method=head", f"method/peft={name}", *overrides).method


@pytest.fixture
def make() -> Make:
    """`make("lora", model, "method.peft.options.rank=2")`: float64, in eval mode, frozen but for what trains."""

    def made(
        name: str, model: str = VIT, *overrides: str, weights: Path | None = None, checkpointing: bool = False
    ) -> Backbone:
        config = method_config(name, *overrides)
        sizes = SIZES | MODELS[model]
        if "_r_s16" in model:
            del sizes["patch_size"]
        backbone = create_backbone(
            ModelConfig(name=model, pretrained=False, weights=weights and str(weights), options=sizes),
            image_size=128 if "_r_s16" in model else 32,
            tokens=config.tokens,
            peft=config.peft,
            grad_checkpointing=checkpointing,
        )
        backbone.set_trainable(BackboneTuning.frozen, config.class_token)
        return backbone.double().eval()

    return made


@pytest.fixture
def images() -> Callable[[Backbone], Tensor]:
    """`images(backbone)`: normalised float64 [3, 3, S, S]."""

    def drawn(backbone: Backbone) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        side = backbone.image_size
        return torch.randn(3, 3, side, side, dtype=torch.float64, generator=generator)

    return drawn


def trainable(backbone: Backbone) -> dict[str, nn.Parameter]:
    """What trains, by its name within the ViT."""
    return {name: value for name, value in backbone.vit.named_parameters() if value.requires_grad}


@torch.no_grad()
def disturb(backbone: Backbone, std: float = 0.1) -> None:
    """Move what trains away from its initial values."""
    for value in trainable(backbone).values():
        value.add_(torch.randn_like(value) * std)


def bare(backbone: Backbone) -> nn.Module:
    """timm's own model with the frozen and trained weights that bear its names."""
    vit = timm.create_model(
        backbone.vit.pretrained_cfg["architecture"], **timm_arguments(backbone), num_classes=0
    ).double()
    known = vit.state_dict().keys()
    vit.load_state_dict({key: value for key, value in backbone.vit.state_dict().items() if key in known})
    return vit.eval()


def timm_arguments(backbone: Backbone) -> dict[str, Any]:
    """What `make` gave to timm."""
    model = backbone.vit.pretrained_cfg["architecture"]
    sizes = SIZES | MODELS[model] | {"img_size": backbone.image_size}
    if "_r_s16" in model:
        del sizes["patch_size"]
    return sizes


def features_of(vit: Any, images: Tensor) -> Tensor:
    """Pre-logits [B, D] of a timm model."""
    return vit.forward_head(vit.forward_features(images), pre_logits=True)
