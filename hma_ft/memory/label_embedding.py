"""The table of label embeddings that images and memories share."""

import torch
from torch import Tensor, nn

from hma_ft.precision import without_autocast


class LabelEmbedding(nn.Module):
    """C classes and one last row for 'label unknown', each an embedding of width L."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.embedding = nn.Embedding(num_classes + 1, width)

    @property
    def unknown(self) -> Tensor:
        """The embedding [L] of an image whose label isn't known."""
        return self.embedding.weight[self.num_classes]

    def forward(self, labels: Tensor) -> Tensor:
        """Class ids [N], where C means unknown, or class probabilities [N, C] -> [N, L].

        Soft labels (mixup, cutmix, smoothing) become the weighted mean of their classes' embeddings.
        """
        if labels.is_floating_point():
            weight = self.embedding.weight[: self.num_classes]
            with without_autocast(weight):  # a label that is certain is then the class's embedding, as it stands
                return labels.to(weight.dtype) @ weight
        return self.embedding(labels)

    def append_label_embedding(self, features: Tensor, labels: Tensor | None) -> Tensor:
        """Features [N, D] with the embedding of their labels (None: unknown) -> rows [N, D + L]."""
        # not len(): torch.export would fix the batch to the size of its example
        embedded = self.unknown.expand(features.shape[0], -1) if labels is None else self(labels)
        return torch.cat([features, embedded.to(features.dtype)], dim=-1)
