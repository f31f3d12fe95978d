"""Parameters that train in a ViT-B/16 (D = 768, L = 12, patches of 16 x 16), the head left out."""

import pytest
import torch

from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import BackboneTuning, ModelConfig
from tests.peft.conftest import NAMES, method_config

OPTIONS = "method.peft.options"
# Counts of published code bases, or derived from their definitions; ours are those of the same choices.
COUNTS = [
    ("partial", [], 7_089_408),
    ("partial", [f"{OPTIONS}.blocks=4"], 4 * 7_087_872 + 1_536),
    ("bitfit", [], 102_912),
    ("layernorm", [], 38_400),
    ("lora", [], 294_912),
    ("lora", [f"{OPTIONS}.rank=1"], 36_864),
    ("lora", [f"{OPTIONS}.targets=[q,v]"], 294_912),
    ("lora", [f"{OPTIONS}.targets=[q,k,v]"], 8 * 55_296),
    ("dora", [], 322_560),
    ("vpt_deep", [], 92_160),
    ("vpt_deep", [f"{OPTIONS}.number=100"], 921_600),
    ("vpt_shallow", [], 7_680),
    ("adapter", [], 313_536),
    ("adapter", [f"{OPTIONS}.placement=pfeiffer"], 156_768),
    ("adaptformer", [], 1_189_632),
    ("adaptformer", [f"{OPTIONS}.bottleneck=32"], 599_424),
    ("adaptformer", [f"{OPTIONS}.bottleneck=8"], 156_768),
    ("adapter_plus", [], 165_984),
    ("ssf", [], 205_824),
    ("class_token", [], 768),
    ("tokens_prop", ["method.tokens.number=10"], 7_680),
    ("tokens_standard", ["method.tokens.number=10"], 92_160),
]


@pytest.mark.parametrize(("name", "overrides", "count"), COUNTS, ids=str)
def test_count_for_vit_b16(name: str, overrides: list[str], count: int) -> None:
    config = method_config(name, *overrides)
    model = ModelConfig(name="vit_base_patch16_224", pretrained=False)
    with torch.device("meta"):
        backbone = create_backbone(model, image_size=224, tokens=config.tokens, peft=config.peft)
    backbone.set_trainable(BackboneTuning.frozen, config.class_token)
    trained = sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad)
    assert trained == count
    rest = sum(parameter.numel() for parameter in backbone.parameters() if not parameter.requires_grad)
    added = 0 if name in ("partial", "bitfit", "layernorm", "class_token") else count
    assert rest + trained - added == 85_798_656


def test_every_choice_is_counted() -> None:
    assert {name for name, _, _ in COUNTS} == set(NAMES)
