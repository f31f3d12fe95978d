"""The fair control of HMA: a head without memory of as many trainable parameters."""

import torch
from torch import Tensor, nn

from hma_ft.backbone.backbone import Backbone
from hma_ft.config.schema import HMAConfig, MethodConfig
from hma_ft.hma import HMAHead
from hma_ft.methods.base import Method
from hma_ft.methods.hma import require_divisible
from hma_ft.methods.options import COUNT, optional, read_options


class MLPHead(Method):
    """logits = MLP(h) with one hidden layer; `options.hidden_width` null: as wide as matches the HMA head's count."""

    def __init__(self, backbone: Backbone, num_classes: int, config: MethodConfig, soft_labels: bool) -> None:
        super().__init__(backbone, num_classes, config, soft_labels)
        width = read_options(config, {"hidden_width": optional(COUNT)})["hidden_width"]
        hidden = matching_width(backbone.width, num_classes, config.hma) if width is None else width
        self.head = nn.Sequential(
            nn.Linear(backbone.width, hidden),
            nn.GELU(),
            nn.Dropout(config.hma.dropout),
            nn.Linear(hidden, num_classes),
        )

    def classify(self, features: Tensor, ids: Tensor | None) -> Tensor:
        """Features [B, D] -> logits [B, C]."""
        return self.head(features)


def matching_width(feature_width: int, num_classes: int, config: HMAConfig) -> int:
    """Hidden width whose parameter count is nearest to that of the HMA head with this configuration."""
    require_divisible(feature_width, config)
    with torch.device("meta"):
        target = sum(p.numel() for p in HMAHead(feature_width, num_classes, config).parameters())
    return max(1, round((target - num_classes) / (feature_width + 1 + num_classes)))
