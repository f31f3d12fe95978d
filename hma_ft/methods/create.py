"""From a method's configuration to the method."""

import importlib

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError
from hma_ft.methods.base import Method


def create_method(config: MethodConfig, backbone: Backbone, num_classes: int, *, soft_labels: bool) -> Method:
    """Build the class that `method.target` names, on the backbone."""
    module_name, _, class_name = config.target.rpartition(".")
    try:
        method_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"method.target={config.target} can't be imported ({error}): name a class by module.Class"
        ) from error
    if not (isinstance(method_class, type) and issubclass(method_class, Method)):
        raise UserError(f"method.target={config.target} is no hma_ft.methods.base.Method: derive it from that class")
    method = method_class(backbone, num_classes, config, soft_labels)
    in_head = any(p.requires_grad for name, p in method.named_parameters() if not name.startswith("backbone."))
    if backbone.trains and not in_head:
        raise UserError(
            f"method.name={config.name} has no head that trains by steps, so nothing can train in the backbone: "
            "set method.backbone=frozen, method/peft=none, method.class_token=false and method.tokens.type=none"
        )
    return method
