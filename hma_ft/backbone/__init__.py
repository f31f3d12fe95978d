"""The backbone: a timm Vision Transformer that turns images into features [B, D]."""

from hma_ft.backbone.architecture import BackboneSpec, backbone_spec, check_name
from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone

__all__ = ["Backbone", "BackboneSpec", "backbone_spec", "check_name", "create_backbone"]
