"""The backbone: a timm Vision Transformer that turns pictures into features [B, D]."""

from hma_ft.backbone.architecture import Outline, check_name, outline
from hma_ft.backbone.backbone import Backbone
from hma_ft.backbone.create import create_backbone

__all__ = ["Backbone", "Outline", "check_name", "create_backbone", "outline"]
