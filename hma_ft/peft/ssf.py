"""SSF: scale and shift of the features (Lian et al., "Scaling & Shifting Your Features", NeurIPS 2022).

    gamma * y + beta        gamma ~ N(1, 0.02), beta ~ N(0, 0.02), one of each for every channel

behind the patch embedding, every norm, and every linear layer of the blocks. Where all of these have a bias, the
weights can take it up, and the model costs what it did.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hma_ft.peft.adapted import Adapted, TimmViT, parameters_below
from hma_ft.peft.norms import NORMS
from hma_ft.peft.projections import call_fused_layers, has_separate_bias, separate_bias

CHILD = "ssf"  # of the layer whose output is scaled and shifted
INIT_STD = 0.02
_OUTSIDE_BLOCKS = ("patch_embed.proj", "patch_embed.norm", "norm_pre", "norm", "fc_norm")


class ScaleShift(nn.Module):
    """gamma and beta [channels]; `channel_dim` is that of the layer's output."""

    hook: RemovableHandle  # of the layer

    def __init__(self, channels: int, channel_dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(nn.init.normal_(torch.empty(channels), mean=1.0, std=INIT_STD))
        self.beta = nn.Parameter(nn.init.normal_(torch.empty(channels), std=INIT_STD))
        self.channel_dim = channel_dim

    def forward(self, output: Tensor) -> Tensor:
        """The layer's output, scaled and shifted."""
        shape = [-1] + [1] * (-1 - self.channel_dim)
        return (output * self.gamma.view(shape) + self.beta.view(shape)).to(output.dtype)


def add_scale_shift(vit: TimmViT) -> Adapted:
    """Scale and shift what every layer gives out; see the module."""
    call_fused_layers(vit)
    layers = _layers(vit)
    for layer in layers:
        layer.add_module(CHILD, ScaleShift(layer.weight.shape[0], -3 if isinstance(layer, nn.Conv2d) else -1))
        layer.ssf.hook = layer.register_forward_hook(_scale_shift)
    for attention in vit.blocks.modules():
        if has_separate_bias(attention):
            attention.qkv.register_forward_hook(partial(_scale_separate_bias, attention))
    mergeable = all(getattr(layer, "bias", None) is not None for layer in layers)
    return Adapted(parameters_below(vit, CHILD), merge=partial(_merge, vit) if mergeable else None)


def _layers(vit: TimmViT) -> list[Any]:
    """All layers that are scaled and shifted; each has a weight whose first dimension is that of its output."""
    named = dict(vit.named_modules())
    candidates = [named[name] for name in _OUTSIDE_BLOCKS if name in named] + list(vit.blocks.modules())
    kinds = (nn.Conv2d, nn.Linear, *NORMS)
    return [layer for layer in candidates if isinstance(layer, kinds) and layer.weight is not None]


def _scale_shift(layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Forward hook."""
    return layer.ssf(output)


def _scale_separate_bias(attention: Any, layer: Any, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Forward hook of a fused layer: the biases that timm is about to add count as scaled with it."""
    return output + ((layer.ssf.gamma - 1) * separate_bias(attention)).to(output.dtype)


@torch.no_grad()
def _merge(vit: TimmViT) -> None:
    for layer in _layers(vit):
        gamma, beta = layer.ssf.gamma, layer.ssf.beta
        layer.weight.mul_(gamma.view(-1, *[1] * (layer.weight.ndim - 1)))
        layer.bias.mul_(gamma).add_(beta)
        layer.ssf.hook.remove()
        delattr(layer, CHILD)
