"""Where timm's attention makes queries, keys and values: linear layers that a method can hook."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hma_ft.peft.adapted import TimmViT, UnsupportedModel

PARTS = ("q", "k", "v")


class Projection(NamedTuple):
    """A linear layer whose output holds queries, keys or values."""

    name: str  # within the ViT
    layer: nn.Linear
    parts: tuple[str, ...]  # what the rows of its output are, in order, equally many each


def attention_projections(vit: TimmViT) -> list[Projection]:
    """The layers of all blocks, one fused layer each or three, all of which timm calls.

    Raises:
        UnsupportedModel: blocks whose attention has no such layers.
    """
    call_fused_layers(vit)
    found: list[Projection] = []
    for index, block in enumerate(vit.blocks):
        before = len(found)
        for name, module in block.named_modules(prefix=f"blocks.{index}"):
            if isinstance(getattr(module, "qkv", None), nn.Linear):
                found.append(Projection(f"{name}.qkv", module.qkv, PARTS))
            elif isinstance(getattr(module, "q_proj", None), nn.Linear):
                layers = {part: getattr(module, f"{part}_proj") for part in PARTS}
                found += [Projection(f"{name}.{part}_proj", layer, (part,)) for part, layer in layers.items()]
        if len(found) == before:
            raise UnsupportedModel(f"the blocks of this model ({type(block).__name__}) have no layers for q, k and v")
    return found


def call_fused_layers(vit: TimmViT) -> None:
    """Have timm call every fused layer, in place.

    timm's BEiT and EVA keep the biases apart and read the layer's weight without calling it, so that a hook would be
    passed over in silence. They are told to call it and to add the biases afterwards (`qkv_bias_separate`), which is
    the same but for rounding.
    """
    for module in vit.blocks.modules():
        if has_separate_bias(module):
            if not hasattr(module, "qkv_bias_separate"):
                raise UnsupportedModel(
                    f"{type(module).__name__} reads the weight of its fused layer without calling it"
                )
            module.qkv_bias_separate = True


def has_separate_bias(attention: nn.Module) -> bool:
    """Whether the biases of a fused layer are parameters of the attention and not of the layer."""
    return getattr(attention, "q_bias", None) is not None


def separate_bias(attention: Any) -> Tensor:
    """The biases that timm adds after the fused layer, [out]; those of the keys are zeros."""
    return torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
