"""Every YAML of conf/model names a model that timm can build, with weights that timm knows."""

from pathlib import Path

import pytest
import timm
import torch
from omegaconf import OmegaConf
from timm.models import get_pretrained_cfg

from hma_ft.backbone import backbone_spec, create_backbone
from hma_ft.config.schema import ModelConfig, TokensConfig

FOLDER = Path(__file__).parents[2] / "conf" / "model"
LABELS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
WIDTHS = {
    "vit_b32": 768,
    "vit_b16": 768,
    "vit_s16": 384,
    "vit_ti16": 192,
    "deit_tiny": 192,
    "deit_small": 384,
    "deit_tiny_distilled": 192,
    "vit_s14_dinov2": 384,
    "vit_s14_dinov2_reg": 384,
    "vit_micro": 96,
}


def read(label: str) -> ModelConfig:
    config = OmegaConf.to_object(OmegaConf.merge(ModelConfig, OmegaConf.load(FOLDER / f"{label}.yaml")))
    assert isinstance(config, ModelConfig)
    return config


def test_the_folder_holds_these_models() -> None:
    assert set(WIDTHS) <= set(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_model_can_be_built(label: str) -> None:
    config = read(label)
    assert config.short_name == label
    with torch.device("meta"):
        theirs = timm.create_model(config.name, **config.options)
    width = backbone_spec(config, config.image_size).width
    assert width == theirs.num_features == WIDTHS.get(label, width)
    weights = get_pretrained_cfg(config.name)
    assert weights is not None and weights.has_weights


def test_vit_micro_trains_from_scratch_on_any_image_size() -> None:
    config = read("vit_micro")
    assert not config.pretrained
    for image_size in (config.image_size, 32):
        backbone = create_backbone(config, image_size=image_size, tokens=TokensConfig())
        assert sum(parameter.numel() for parameter in backbone.parameters()) < 500_000
        features = backbone(torch.randint(0, 256, (2, 3, image_size, image_size), dtype=torch.uint8))
        assert features.shape == (2, 96)
