"""From a method's configuration to the method."""

from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone
from hma_ft.config.schema import Config, HeadInit, MethodConfig
from hma_ft.errors import UserError
from hma_ft.importing import import_class
from hma_ft.methods.base import Method


def create_untrained(config: Config, num_classes: int) -> Method:
    """Build backbone and method of a run with random weights, on torch's default device; no file is read."""
    backbone = create_backbone(
        config.model,
        image_size=config.augment.image_size,
        tokens=config.method.tokens,
        peft=config.method.peft,
        load=False,
    )
    return create_method(config.method, backbone, num_classes, soft_labels=False)


def create_method(config: MethodConfig, backbone: Backbone, num_classes: int, *, soft_labels: bool) -> Method:
    """Build the class that `method.target` names, on the backbone."""
    method_class = import_class("method.target", config.target, Method)  # type: ignore[type-abstract]
    method = method_class(backbone, num_classes, config, soft_labels)
    in_head = any(p.requires_grad for name, p in method.named_parameters() if not name.startswith("backbone."))
    if backbone.trains and not in_head:
        raise UserError(
            f"method.name={config.name} has no head that trains by steps, so nothing can train in the backbone: "
            "set method.backbone=frozen, method/peft=none, method.class_token=false and method.tokens.type=none"
        )
    if config.head_init is not HeadInit.none and method.trained_linear_head() is None:
        raise UserError(
            f"method.head_init={config.head_init.value}: method={config.name} has no linear head on the features that "
            "steps train; set method.head_init=none"
        )
    return method
