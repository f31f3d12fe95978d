"""Heterogeneous memory augmentation on any features [B, D].

head = HMAHead(feature_width=768, num_classes=47)
logits = head(features, ids)           # [B, 768] -> [B, 47]
head.write(features, labels, ids)      # after the training step's read
"""

from hma_ft.hma.head import HMAHead

__all__ = ["HMAHead"]
