"""LoRA and DoRA as a folder that Hugging Face's `peft` loads onto the timm model with its pretrained weights.

adapter_config.json and adapter_model.safetensors as `PeftModel.save_pretrained` writes them; the classifier comes along
as one of `modules_to_save`. peft itself is only needed to check the folder.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from hma_ft.backbone.architecture import build
from hma_ft.config.schema import ModelConfig
from hma_ft.export.timm_layout import classifier_names, classifier_state
from hma_ft.methods.base import Method
from hma_ft.peft.dora import WeightDecomposed
from hma_ft.peft.lora import LowRank, low_rank_layers
from hma_ft.peft.projections import has_separate_bias

PEFT_FOLDER = "peft_adapter"
_PREFIX = "base_model.model."  # of peft's names


class PeftAdapter(NamedTuple):
    """What was written."""

    base: str  # timm's name of the model
    classes: int
    image_size: int
    difference: float | None  # largest difference of peft's logits; None: peft is not installed


def fits_peft(method: Method) -> bool:
    """Whether peft can hold what trained: low-rank updates of layers that timm calls, and a linear classifier.

    timm's BEiT and EVA read the weight of the fused layer without calling it, where peft's layer would be passed over.
    """
    vit = method.backbone.vit
    layers = low_rank_layers(vit)
    trained = {name for name, parameter in vit.named_parameters() if parameter.requires_grad}
    return (
        bool(layers)
        and method.linear_classifier() is not None
        and trained == method.backbone.peft.trainable
        and not any(has_separate_bias(module) for module in vit.blocks.modules())
    )


def write_peft_adapter(folder: Path, method: Method, *, model: ModelConfig, images: Tensor) -> PeftAdapter:
    """Write the folder of a method that `fits_peft`, and compare peft's logits; uint8 images [B, 3, S, S]."""
    backbone = method.backbone
    layers = low_rank_layers(backbone.vit)
    tensors = classifier_state(method)
    for name, layer in layers.items():
        tensors |= {f"{name}.{key}": value for key, value in _tensors(layer).items()}
    state = {f"{_PREFIX}{name}": value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(save(state, metadata={"format": "pt"}))
    config = _config(layers) | {
        "base_model_name_or_path": f"timm/{model.name}",
        "modules_to_save": classifier_names(backbone.vit),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    installed = importlib.util.find_spec("peft") is not None
    difference = _difference(folder, method, model, images) if installed else None
    return PeftAdapter(model.name, method.num_classes, backbone.image_size, difference)


def _tensors(layer: LowRank) -> dict[str, Tensor]:
    """Updates of single parts are one of the fused layer whose B is zero elsewhere."""
    tensors = {"lora_A.weight": layer.stacked_a(), "lora_B.weight": layer.placed_b()}
    if isinstance(layer, WeightDecomposed):
        tensors["lora_magnitude_vector"] = layer.magnitude
    return tensors


def _config(layers: dict[str, LowRank]) -> dict[str, Any]:
    first = next(iter(layers.values()))
    pairs = len(first.starts)
    return {
        "peft_type": "LORA",
        "task_type": None,
        "r": pairs * first.rank,
        "lora_alpha": pairs * first.alpha,  # the same scale
        "lora_dropout": first.dropout.p,
        "use_dora": isinstance(first, WeightDecomposed),
        "target_modules": list(layers),
        "bias": "none",
        "inference_mode": True,
    }


@torch.no_grad()
def _difference(folder: Path, method: Method, model: ModelConfig, images: Tensor) -> float:
    from peft import PeftModel  # takes seconds

    backbone = method.backbone
    vit = build(model, backbone.image_size, pretrained=False, num_classes=method.num_classes)
    vit.load_state_dict(backbone.vit.state_dict(), strict=False)  # the classifier is the adapter's, as are the updates
    adapted = PeftModel.from_pretrained(vit, str(folder)).eval()
    return float((adapted(backbone.normalise(images)) - method.eval()(images).logits).abs().max())
