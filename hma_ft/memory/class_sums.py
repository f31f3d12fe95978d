"""Additive statistics of labelled features: what ridge regression and LDA need of a training set, and no more.

A Gram matrix, a sum and a count for each class. An image is added by adding its terms and removed by subtracting them,
so the result is that of a fit without it, whatever the order; nothing of the size of the training set is kept but its
ids and labels.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from hma_ft.memory.growing import GrowingBuffers

BLOCK_ELEMENTS = 2**24  # of a block of features in float64: 128 MiB


class ClassSums(GrowingBuffers):
    """Sums over N images of C classes with features x [D], in float64, about a fixed `origin`.

    The origin, the mean of the images that came first, keeps the digits that a difference of large sums would lose; no
    result depends on it.

    Attributes:
        origin: [D].
        gram: [D, D], the sum of (x - origin)(x - origin)^T; [0, D] while there is nothing in it.
        sums: [C, D], the sum of x - origin over the images of each class.
        counts: [C].
        labels, ids: [N], of the images that are in.
    """

    origin: Tensor
    gram: Tensor
    sums: Tensor
    counts: Tensor
    labels: Tensor
    ids: Tensor

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        for name, shape in {"origin": (width,), "gram": (0, width), "sums": (num_classes, width)}.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("labels", torch.empty(0, dtype=torch.int64))
        self.register_buffer("ids", torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        """D."""
        return len(self.origin)

    @torch.no_grad()
    def set(
        self,
        features: Tensor,
        labels: Tensor,
        ids: Tensor,
        *,
        centred: bool = True,
        lift: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Replace the contents; arguments as in `add`. `centred` false: the origin is 0."""
        self.gram = self.gram.new_zeros(self.width, self.width)
        self.labels, self.ids = self.labels[:0], self.ids[:0]
        for buffer in (self.origin, self.sums, self.counts):
            buffer.zero_()
        if centred:
            for block in self._blocks(features, lift):
                self.origin += block.sum(0) / len(features)
        self.add(features, labels, ids, lift=lift)

    @torch.no_grad()
    def add(
        self, features: Tensor, labels: Tensor, ids: Tensor, *, lift: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Add images: features [N, D], or [N, any] that `lift` turns into [n, D] block by block; labels and ids [N]."""
        self._accumulate(features, labels, lift, sign=1.0)
        self.labels = torch.cat([self.labels, labels.to(self.labels)])
        self.ids = torch.cat([self.ids, ids.to(self.ids)])

    @torch.no_grad()
    def remove(
        self, features: Tensor, labels: Tensor, ids: Tensor, *, lift: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        """Take images out that are in (`holds`), given the features and labels that they were added with."""
        self._accumulate(features, labels, lift, sign=-1.0)
        kept = ~torch.isin(self.ids, ids.to(self.ids))
        self.labels, self.ids = self.labels[kept], self.ids[kept]

    def image_rows(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """None: a sum keeps no image apart."""
        return None

    def holds(self, ids: Tensor) -> Tensor:
        """Which of these images [N] are in, bool [N]."""
        return torch.isin(ids.to(self.ids), self.ids)

    def add_classes(self, number: int) -> None:
        """Room for further classes, without images."""
        self.sums = torch.cat([self.sums, self.sums.new_zeros(number, self.width)])
        self.counts = torch.cat([self.counts, self.counts.new_zeros(number)])

    @property
    def mean(self) -> Tensor:
        """Mean of all images, less the origin, [D]."""
        return self.sums.sum(0) / self.counts.sum()

    @property
    def class_means(self) -> Tensor:
        """Mean of each class, less the origin, [C, D]; 0 of a class without images."""
        return self.sums / self.counts.clamp_min(1.0)[:, None]

    def total_scatter(self) -> Tensor:
        """The sum of (x - mean)(x - mean)^T over all images, [D, D]."""
        mean = self.mean
        return self.gram - self.counts.sum() * torch.outer(mean, mean)

    def within_scatter(self) -> Tensor:
        """The sum of (x - m)(x - m)^T over all images, m being the mean of the image's class, [D, D]."""
        scaled = self.sums / self.counts.clamp_min(1.0).sqrt()[:, None]
        return self.gram - scaled.T @ scaled

    def _accumulate(
        self, features: Tensor, labels: Tensor, lift: Callable[[Tensor], Tensor] | None, *, sign: float
    ) -> None:
        start = 0
        for block in self._blocks(features, lift):
            part = labels[start : start + len(block)].to(block.device)
            start += len(block)
            block = block - self.origin
            # a product and not index_add_, whose order of addition a GPU does not promise
            members = functional.one_hot(part, len(self.counts)).to(block.dtype)
            self.gram.addmm_(block.T, block, alpha=sign)
            self.sums.addmm_(members.T, block, alpha=sign)
            self.counts.add_(members.sum(0), alpha=sign)

    def _blocks(self, features: Tensor, lift: Callable[[Tensor], Tensor] | None) -> Iterator[Tensor]:
        """Features [N, any] as blocks [n, D] in float64, lifted."""
        for part in features.split(max(1, BLOCK_ELEMENTS // max(self.width, len(self.counts)))):
            yield part.double() if lift is None else lift(part.double())
