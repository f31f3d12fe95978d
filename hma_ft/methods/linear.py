"""A linear layer on the backbone's features: full, head-only and parameter-efficient fine-tuning.

What trains beside the head is the configuration's: `method.backbone`, `.class_token`, `.tokens` and `.peft`.
"""

from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import MethodConfig
from hma_ft.methods.base import Method


class Linear(Method):
    """logits = Linear(h)."""

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        self.head = nn.Linear(backbone.width, num_classes)

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> logits [B, C]."""
        return self.head(features)

    def trained_linear_head(self) -> nn.Linear:
        """The head."""
        return self.head

    def linear_classifier(self) -> nn.Linear:
        """The head."""
        return self.head
