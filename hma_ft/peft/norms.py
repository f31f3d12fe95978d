"""Norm tuning: weight and bias of every LayerNorm train (Basu et al., AAAI 2024; Qi et al., 2022)."""

from timm.layers import RmsNorm
from torch import nn

from hma_ft.peft.adapted import Adapted, TimmViT

NORMS = (nn.LayerNorm, nn.RMSNorm, RmsNorm)


def train_norms(vit: TimmViT) -> Adapted:
    """Choose the parameters of all layer norms (RMS norms where a model has those), wherever they stand."""
    norms = [name for name, module in vit.named_modules() if isinstance(module, NORMS)]
    names = [f"{norm}.{name}" for norm in norms for name, _ in vit.get_submodule(norm).named_parameters()]
    return Adapted(frozenset(names))
