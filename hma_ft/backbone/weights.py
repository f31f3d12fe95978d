"""Weights from a local file, with every key accounted for."""

import inspect
import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import BadZipFile

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from timm.models import load_state_dict
from torch import Tensor

from hma_ft.backbone.architecture import TimmViT, one_line
from hma_ft.errors import UserError
from hma_ft.peft.insertion import is_inserted_token

CLASSIFIERS = ("head.", "head_dist.")  # timm's names of a Vision Transformer's classifiers
TORCH_SUFFIXES = (".pth", ".pt", ".safetensors")
KEYS_LISTED = 20  # of a kind, in an error
# What timm, torch, numpy and safetensors raise for a file that is cut short, or holds something else.
UNREADABLE = (
    *(RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, AssertionError),
    *(UnpicklingError, SafetensorError, BadZipFile),
)


def load_weights(vit: TimmViT, path: Path) -> None:
    """Fill `vit`, a timm model without classifier, from a local file, in place.

    .pth, .pt and .safetensors hold a state dict, bare or within a checkpoint (`model`, `state_dict`,
    `state_dict_ema`), in timm's names or in those of an origin that timm converts, with or without the prefixes of
    DDP and torch.compile. .npz is the layout of the JAX releases. Classifiers are dropped, position embeddings
    interpolated, memory tokens read if the file has them.

    Raises:
        UserError: no such file, not readable as weights, or keys or shapes that are not the model's, listed.
    """
    if not path.is_file():
        raise UserError(f"model.weights={path}: no such file.")
    if path.suffix == ".npz":
        _load_jax(vit, path)
    elif path.suffix in TORCH_SUFFIXES:
        _load_torch(vit, path)
    else:
        raise UserError(f"model.weights={path}: unknown format; use {', '.join(TORCH_SUFFIXES)} or .npz.")


def _load_torch(vit: TimmViT, path: Path) -> None:
    try:
        state = load_state_dict(str(path))  # unpickles nothing but tensors
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if not any(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"model.weights={path}: holds no weights; its keys are {_some([str(key) for key in state])}.")
    try:
        converted = _in_timm_names(state, vit)
    except UNREADABLE as error:
        reason = f"timm cannot convert it, {one_line(error)}; {_difference(vit, state)}"
        raise UserError(f"model.weights={path}: does not fit {_name(vit)}: {reason}.") from error
    difference = _difference(vit, converted)
    if difference:
        raise UserError(f"model.weights={path}: does not fit {_name(vit)}: {difference}.")
    vit.load_state_dict(_without_classifier(converted), strict=False)  # lacks memory tokens at most


def _in_timm_names(state: dict[str, Tensor], vit: TimmViT) -> dict[str, Tensor]:
    """What timm does to a checkpoint of this architecture: rename, and interpolate position embeddings."""
    module: Any = inspect.getmodule(timm.model_entrypoint(_name(vit)))
    # DeiT's are the only ones that name layer scale otherwise.
    options = {"adapt_layer_scale": True} if module is timm.models.deit else {}
    return module.checkpoint_filter_fn(state, vit, **options)


def _without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith(CLASSIFIERS)}


def _difference(vit: TimmViT, state: dict[str, Tensor]) -> str:
    """Keys that the model lacks, that the file lacks, and that differ in shape; empty if there are none."""
    own, state = vit.state_dict(), _without_classifier(state)
    kinds = {
        "missing in the file": [key for key in own if key not in state and not is_inserted_token(key)],
        "not in the model": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {list(state[key].shape)} instead of {list(own[key].shape)}"
            for key in own
            if key in state and state[key].shape != own[key].shape
        ],
    }
    return "; ".join(f"{len(keys)} keys {kind}: {_some(keys)}" for kind, keys in kinds.items() if keys)


@torch.no_grad()
def _load_jax(vit: TimmViT, path: Path) -> None:
    if not hasattr(vit, "load_pretrained"):
        raise UserError(f"model.weights={path}: {_name(vit)} reads no .npz; use {', '.join(TORCH_SUFFIXES)}.")
    parameters = {name: value for name, value in vit.named_parameters() if not is_inserted_token(name)}
    for value in parameters.values():
        value.fill_(torch.nan)  # timm's loader does not tell what it left alone
    try:
        vit.load_pretrained(str(path))
        with np.load(path, allow_pickle=False) as arrays:
            blocks = {int(index) for key in arrays.files for index in re.findall(r"encoderblock_(\d+)/", key)}
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    missing = [name for name, value in parameters.items() if value.isnan().any()]
    unexpected = [f"encoderblock_{index}" for index in sorted(blocks) if index >= len(vit.blocks)]
    for kind, keys in (("missing in the file", missing), ("not in the model", unexpected)):
        if keys:
            raise UserError(f"model.weights={path}: does not fit {_name(vit)}: {len(keys)} keys {kind}: {_some(keys)}.")


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"model.weights={path}: cannot be read as weights of this model ({one_line(error)}).")


def _name(vit: TimmViT) -> str:
    return vit.pretrained_cfg["architecture"]


def _some(keys: list[str]) -> str:
    listed = ", ".join(keys[:KEYS_LISTED])
    return listed if len(keys) <= KEYS_LISTED else f"{listed} and {len(keys) - KEYS_LISTED} more"
