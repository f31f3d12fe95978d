"""From a method's configuration to the method."""

import importlib

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import HeadInit, MethodConfig
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
    if method.fits and method.learns_by_steps:
        raise UserError(
            f"method={config.name} is fitted in one pass to the features of a frozen backbone, in which nothing "
            "may train: set method.backbone=frozen, method.class_token=false, method.tokens.type=none"
        )
    if config.head_init is not HeadInit.none and method.trained_linear_head() is None:
        raise UserError(
            f"method.head_init={config.head_init.value}: method={config.name} has no linear head on the features that "
            "steps train; set method.head_init=none"
        )
    return method
