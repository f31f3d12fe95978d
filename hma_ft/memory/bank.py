"""A fixed set of training features: the support set of HMA, the neighbours of kNN."""

import torch
from torch import Tensor

from hma_ft.memory.growing import GrowingBuffers


class FeatureBank(GrowingBuffers):
    """Features [N, D], labels [N] and sample ids [N]; empty until it is set, saved with the model."""

    features: Tensor
    labels: Tensor
    ids: Tensor

    def __init__(self, feature_width: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.empty(0, feature_width))
        self.register_buffer("labels", torch.empty(0, dtype=torch.int64))
        self.register_buffer("ids", torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def image_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features [N, D], labels [N] and ids [N]."""
        return self.features, self.labels, self.ids

    @torch.no_grad()
    def set(self, features: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Replace the contents."""
        self.features = features.detach().to(self.features)
        self.labels = labels.to(self.labels)
        self.ids = ids.to(self.ids)

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor, ids: Tensor) -> None:
        """Append rows."""
        self.set(
            torch.cat([self.features, features.to(self.features)]),
            torch.cat([self.labels, labels.to(self.labels)]),
            torch.cat([self.ids, ids.to(self.ids)]),
        )

    def without_classes(self, classes: Tensor) -> "FeatureBank":
        """A bank of the rows of all other classes."""
        kept = ~torch.isin(self.labels, classes.to(self.labels))
        found = FeatureBank(self.features.shape[1]).to(self.features)
        found.set(self.features[kept], self.labels[kept], self.ids[kept])
        return found

    @torch.no_grad()
    def remove(self, ids: Tensor) -> int:
        """Take out the rows with these ids [N]; their number."""
        removed = torch.isin(self.ids, ids.to(self.ids))
        self.set(self.features[~removed], self.labels[~removed], self.ids[~removed])
        return int(removed.sum())


def class_balanced(labels: Tensor, size: int, seed: int = 0) -> Tensor:
    """Indices of `size` samples, the classes in turn: their counts differ by one at most where they have enough.

    A pure function of (labels, size, seed); sorted.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shuffled = labels[order]
    rank_in_class = torch.empty(len(labels), dtype=torch.int64)
    for label in labels.unique():
        members = (shuffled == label).nonzero().squeeze(1)
        rank_in_class[members] = torch.arange(len(members))
    turns = torch.argsort(rank_in_class, stable=True)
    return order[turns[:size]].sort().values
