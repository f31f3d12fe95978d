"""The synthetic memory: learnable slots of each class."""

import torch
from torch import Tensor, nn

from hma_ft.memory.label_embedding import LabelEmbedding


class SyntheticMemory(nn.Module):
    """S learnable vectors of width D per class, class by class.

    Slots that start at zero get the same gradient as their neighbours of the same class and stay identical for
    ever; hence the Gaussian start, of the scale of a LayerNorm's output.
    """

    labels: Tensor

    def __init__(self, slots: int, *, num_classes: int, feature_width: int, gaussian: bool = True) -> None:
        super().__init__()
        shape = (num_classes * slots, feature_width)
        self.slots = nn.Parameter(torch.randn(shape) if gaussian else torch.zeros(shape))
        labels = torch.arange(num_classes).repeat_interleave(slots)
        self.register_buffer("labels", labels, persistent=False)

    def rows(self, table: LabelEmbedding) -> Tensor:
        """All slots with the label embedding of their class: [C * S, D + L]."""
        return table.append_label_embedding(self.slots, self.labels)
