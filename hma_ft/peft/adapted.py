"""The contract between a method of parameter-efficient fine-tuning and the backbone that it changes."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from torch import nn

# An nn.Module of one of several classes (VisionTransformer, Eva, Beit, ...) that share an interface but no type.
TimmViT: TypeAlias = Any


class Adapted(NamedTuple):
    """What a method added to a timm Vision Transformer, which it changed in place.

    timm's own parameters keep their names, so that weights load before and after. Hooks and `merge` reach modules
    through the module that calls them or through `functools.partial`, so that a deep copy is complete.
    """

    trainable: frozenset[str] = frozenset()  # names within the ViT that train although the rest is frozen
    modules: tuple[nn.Module, ...] = ()  # stay in train mode with the method (dropout, drop path)
    merge: Callable[[], None] | None = None  # fold what was added into timm's own weights and remove it


NOTHING_ADDED = Adapted()


class UnsupportedModel(Exception):
    """A ViT that a method cannot change; the text, one line, completes "method.peft.name=NAME: "."""


def parameters_below(vit: TimmViT, child: str) -> frozenset[str]:
    """Names of the parameters of all modules that are called `child` within their parents."""
    return frozenset(name for name, _ in vit.named_parameters() if child in name.split(".")[:-1])
