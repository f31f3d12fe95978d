"""Weights and configuration of any method, complete: nothing is fetched and no data set is read to load them."""

import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save

import hma_ft
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import Config, MethodConfig, ModelConfig, Precision, Resize
from hma_ft.data.transforms import EvalTransform
from hma_ft.engine.inputs import uses_soft_labels
from hma_ft.errors import UserError
from hma_ft.export.preparation import crop_ratio, preparation
from hma_ft.methods.base import Method
from hma_ft.methods.create import create_method

FORMAT = "hma_ft"


class Loaded(NamedTuple):
    """What predicts, from a folder."""

    method: Method
    transform: EvalTransform
    class_names: list[str]


def write_own_layout(
    folder: Path, method: Method, *, config: Config, transform: EvalTransform, class_names: list[str]
) -> None:
    """model.safetensors with the names of `method.state_dict()`, and config.json that rebuilds the method."""
    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in method.state_dict().items()
        if not name.startswith(method.training_only)
    }
    (folder / "model.safetensors").write_bytes(save(state, metadata={"format": "pt"}))
    content = {
        "format": FORMAT,
        "version": hma_ft.__version__,
        "label_names": class_names,
        "inference": method.inference_modes()[0],
        "image_size": transform.image_size,
        "soft_labels": uses_soft_labels(config.augment),
        "precision": config.trainer.precision.name,
        "channels_last": config.trainer.channels_last,
        "preparation": preparation(method.backbone, transform),
        "model": plain(dataclasses.asdict(config.model)) | {"pretrained": False, "weights": None},
        "method": plain(dataclasses.asdict(config.method)),
    }
    (folder / "config.json").write_text(json.dumps(content, indent=1) + "\n")


def load_own_layout(folder: Path) -> Loaded:
    """The method in evaluation mode on the CPU.

    Raises:
        UserError: not such a folder, or weights that are not the method's.
    """
    try:
        content = json.loads((folder / "config.json").read_text())
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} holds no exported model ({error})") from error
    if content.get("format") != FORMAT:
        raise UserError(f'{folder} is in timm\'s layout: load it by timm.create_model("local-dir:{folder}")')
    model = _typed(ModelConfig, content["model"])
    method_config = _typed(MethodConfig, content["method"])
    backbone = create_backbone(
        model, image_size=content["image_size"], tokens=method_config.tokens, peft=method_config.peft
    )
    names = content["label_names"]
    method = create_method(method_config, backbone, len(names), soft_labels=content["soft_labels"])
    missing, unexpected = method.load_state_dict(state, strict=False)
    missing = [name for name in missing if not name.startswith(method.training_only)]
    if missing or unexpected:
        raise UserError(f"{folder}/model.safetensors lacks {missing} and has {unexpected} too many: export it again")
    if content.get("channels_last", False):
        method.backbone.to(memory_format=torch.channels_last)
    prepared = content["preparation"]
    transform = EvalTransform(
        content["image_size"],
        crop_ratio=crop_ratio(content["image_size"], prepared["resize_short_side"]),
        interpolation=prepared["interpolation"],
        upright=prepared.get("exif_orientation", False),  # exports of earlier versions ignore it
        resize=Resize(prepared.get("resize", Resize.crop.value)),
        fill=method.backbone.mean_colour,
    )
    return Loaded(method.eval(), transform, names)


def recorded_precision(folder: Path) -> Precision:
    """The precision in which the exported run was evaluated; earlier versions did not record it and used fp32."""
    content = json.loads((folder / "config.json").read_text())
    return Precision[content.get("precision", Precision.fp32.name)]


def _typed(schema: type, values: dict[str, Any]) -> Any:
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))


def plain(value: Any) -> Any:
    """A configuration's dictionary with enums by their names, as JSON and YAML take it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.name if isinstance(value, Enum) else value
