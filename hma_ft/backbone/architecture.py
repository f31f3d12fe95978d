"""Which timm models are accepted, and what a model looks like before any weight of it is read."""

import difflib
from typing import Any, NamedTuple

import timm
import torch
from timm.models import get_arch_pretrained_cfgs, is_model_in_modules

from hma_ft.config.schema import ModelConfig
from hma_ft.errors import UserError
from hma_ft.peft.adapted import TimmViT
from hma_ft.shortages import shortage

# timm's modules of plain Vision Transformers: one stack of blocks over one sequence of tokens, which
# `forward_head(..., pre_logits=True)` pools to one vector.
VIT_MODULES = ("vision_transformer", "vision_transformer_hybrid", "deit", "eva", "beit")


class BackboneSpec(NamedTuple):
    """Sizes of a backbone that need no weights to be known."""

    width: int  # D of the pre-logits feature
    depth: int  # number of blocks
    has_class_token: bool


def check_name(name: str) -> None:
    """Refuse what timm does not have, or has but not as a Vision Transformer; quick once timm is imported.

    Raises:
        UserError: unknown architecture or weight tag, with the nearest known ones, or not a Vision Transformer.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [model for module in VIT_MODULES for model in timm.list_models(module=module)]
        raise UserError(f"model.name={name}: timm has no model {architecture!r}; {_nearest(architecture, known)}")
    if not is_model_in_modules(architecture, VIT_MODULES):
        raise UserError(
            f"model.name={name}: {architecture} is not a Vision Transformer; choose a timm model such as "
            "vit_base_patch32_224.augreg_in21k or deit_tiny_patch16_224."
        )
    tags = [model.partition(".")[2] for model in get_arch_pretrained_cfgs(architecture)]
    if tag and tag not in tags:
        raise UserError(f"model.name={name}: {architecture} has no weights tagged {tag!r}; known: {', '.join(tags)}.")


def backbone_spec(config: ModelConfig, image_size: int) -> BackboneSpec:
    """Sizes of the backbone of `config`, without memory or time for its weights.

    Raises:
        UserError: see `check_name` and `build`.
    """
    with torch.device("meta"):
        vit = build(config, image_size, pretrained=False, num_classes=0)
    return BackboneSpec(vit.head_hidden_size, len(vit.blocks), vit.cls_token is not None)


def build(config: ModelConfig, image_size: int, **arguments: Any) -> TimmViT:
    """The timm model of `config` for images of `image_size` x `image_size` pixels.

    `arguments` go to timm.create_model on top of those that the configuration names.

    Raises:
        UserError: unknown model, options that it does not take, or an image size that its patches do not tile.
    """
    check_name(config.name)
    if image_size < 1:
        raise UserError(f"augment.image_size={image_size}: must be at least one patch.")
    clash = sorted({"img_size", "drop_path_rate", "pretrained", "num_classes"} & config.options.keys())
    if clash:
        raise UserError(
            f"model.options.{clash[0]}: set by augment.image_size, model.drop_path_rate, model.pretrained or the data "
            "set; remove it."
        )
    try:
        vit = timm.create_model(
            config.name, img_size=image_size, drop_path_rate=config.drop_path_rate, **config.options, **arguments
        )
    except (TypeError, AssertionError, ValueError, ZeroDivisionError, RuntimeError) as error:
        if shortage(error) or (arguments.get("pretrained") and isinstance(error, RuntimeError)):
            raise  # the latter are weights that don't fit, which whoever asked for them explains
        raise UserError(
            f"model.options={config.options}: timm cannot build {config.name} with them ({one_line(error)})."
        ) from error
    _check_sizes(config, vit, image_size)
    return vit


def _check_sizes(config: ModelConfig, vit: TimmViT, image_size: int) -> None:
    if not vit.global_pool:
        raise UserError(f"model.name={config.name}: has no pooling; set model.options.global_pool=avg.")
    patch = vit.patch_embed.patch_size[0]
    if image_size % patch:
        lower = image_size // patch * patch
        sizes = " or ".join(str(size) for size in (lower, lower + patch) if size)
        raise UserError(
            f"augment.image_size={image_size}: not a multiple of the {patch} pixel patches of {config.name}; "
            f"use {sizes}."
        )


def _nearest(name: str, known: list[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(matches)}?" if matches else "timm.list_models('vit_*') lists the names."


def one_line(error: Exception) -> str:
    """An exception as one line of text."""
    return " ".join(f"{type(error).__name__}: {error}".split())
