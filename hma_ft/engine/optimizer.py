"""Parameter groups and the optimizer, from timm's factory."""

from collections.abc import Iterable
from typing import Any

from timm.optim import create_optimizer_v2
from torch import nn
from torch.optim import Optimizer

from hma_ft.config.schema import OptimizerConfig
from hma_ft.methods.base import Method


def create_optimizer(method: Method, config: OptimizerConfig) -> Optimizer:
    """An optimizer of the parameters that train; each group keeps its own `lr` at full rate as `base_lr`."""
    extra: dict[str, Any] = {"momentum": config.momentum} if config.name == "sgd" else {}
    # timm reads "sgd" as Nesterov momentum; the release's is the plain one, which timm calls "momentum".
    name = "momentum" if config.name == "sgd" else config.name
    optimizer = create_optimizer_v2(
        parameter_groups(method, config), opt=name, lr=config.lr, weight_decay=config.weight_decay, **extra
    )
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"] * group.pop("lr_scale", 1.0)
    return optimizer


def set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    """Scale every group's base learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def parameter_groups(method: Method, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Trainable parameters by (layer, decay or not): no weight decay on vectors, and on what the method exempts.

    With `layer_decay` d, layer i of a backbone of n layers has d^(n - i) of the head's learning rate
    (Bao et al., BEiT, ICLR 2022, appendix).
    """
    exempt = method.no_weight_decay()
    head_layer = method.backbone.depth + 1
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in _trainable(method):
        layer = head_layer
        if name.startswith("backbone.") and config.layer_decay is not None:
            layer = method.backbone.layer_of(name.removeprefix("backbone."))
        decays = parameter.ndim > 1 and name not in exempt
        groups.setdefault((layer, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "lr": config.lr,
            "lr_scale": (config.layer_decay or 1.0) ** (head_layer - layer),
        }
        for (layer, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


def _trainable(method: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in method.named_parameters() if parameter.requires_grad)
