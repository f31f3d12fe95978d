"""Weights and configuration as timm's own exports have them: plain timm loads the folder.

`timm.create_model("local-dir:FOLDER", pretrained=True)`, or the same folder uploaded to the Hugging Face hub.
"""

import json
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save
from torch import Tensor

from hma_ft.backbone.architecture import TimmViT, build
from hma_ft.config.schema import ModelConfig, Resize
from hma_ft.data.transforms import EvalTransform
from hma_ft.export.preparation import crop_ratio, rounded
from hma_ft.methods.base import Method

# of a timm configuration, what says where other weights would come from
_ORIGIN = ("url", "file", "hf_hub_id", "hf_hub_filename", "state_dict", "source", "architecture", "tag")
_CROP_MODES = {Resize.crop: "center", Resize.squash: "squash", Resize.pad: "border"}
_PREPARED = ("test_input_size", "test_crop_pct", "min_input_size", "label_offset")


def fits_timm(method: Method, model: ModelConfig) -> bool:
    """Whether plain timm can hold the model: one linear layer on its own weights, what was added merged into them."""
    backbone = method.backbone
    with torch.device("meta"):
        own = build(model, backbone.image_size, pretrained=False, num_classes=0).state_dict()
    added = backbone.vit.state_dict().keys() - own.keys()
    mergeable = backbone.peft.trainable if backbone.peft.merge is not None else frozenset()
    return method.linear_classifier() is not None and added <= mergeable


def write_timm_layout(
    folder: Path, method: Method, *, model: ModelConfig, transform: EvalTransform, class_names: list[str]
) -> None:
    """model.safetensors and config.json of a method that `fits_timm`, whose backbone is merged."""
    vit = method.backbone.vit
    state = {name: value.detach().cpu().contiguous() for name, value in vit.state_dict().items()}
    state |= classifier_state(method)
    (folder / "model.safetensors").write_bytes(save(state, metadata={"format": "pt"}))
    side = transform.image_size
    prepared = {
        "input_size": [3, side, side],
        "pool_size": None,
        "interpolation": transform.interpolation,
        "crop_pct": crop_ratio(side, transform.resized_side),
        "crop_mode": _CROP_MODES[transform.resize],
        "mean": rounded(method.backbone.mean.flatten().tolist()),
        "std": rounded(method.backbone.std.flatten().tolist()),
        "num_classes": len(class_names),
        "custom_load": False,
    }
    kept = {k: v for k, v in vit.pretrained_cfg.items() if k not in _ORIGIN + _PREPARED and v is not None}
    config: dict[str, Any] = {
        "architecture": vit.pretrained_cfg["architecture"],
        "num_classes": len(class_names),
        "num_features": method.backbone.width,
        "global_pool": vit.global_pool,
        "label_names": class_names,
        "model_args": {"img_size": side, **model.options},
        "pretrained_cfg": kept | prepared,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def classifier_state(method: Method) -> dict[str, Tensor]:
    """Weight and bias of the method's linear classifier under timm's names, on the CPU."""
    linear = method.linear_classifier()
    assert linear is not None
    parts = {"weight": linear.weight, "bias": linear.bias}
    names = classifier_names(method.backbone.vit)
    return {f"{name}.{part}": value.detach().cpu().clone() for name in names for part, value in parts.items()}


def classifier_names(vit: TimmViT) -> list[str]:
    """timm's names of the classifier's layers. Of a distilled model it has two, and means their logits: ours, twice."""
    names: Any = vit.pretrained_cfg["classifier"]
    return [names] if isinstance(names, str) else list(names)


@torch.no_grad()
def timm_difference(folder: Path, method: Method, images: Tensor) -> float:
    """Largest difference of the logits of plain timm, which loads `folder`; uint8 images [B, 3, S, S]."""
    vit = timm.create_model(f"local-dir:{folder.resolve()}", pretrained=True).eval()
    return float((vit(method.backbone.normalise(images)) - method.eval()(images).logits).abs().max())
