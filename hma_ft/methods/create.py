"""From a method's configuration to the method."""

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.importing import import_class
from hma_ft.methods.base import Method


def create_method(config: MethodConfig, backbone: Backbone, num_classes: int, *, soft_labels: bool) -> Method:
    """Build the class that `method.target` names, on the backbone."""
    method_class = import_class("method.target", config.target, Method)  # type: ignore[type-abstract]
    return method_class(backbone, num_classes, config, soft_labels)
