"""Which images of its memory a method has nearest to an image, and how far they are."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from hma_ft.memory.bank import FeatureBank
from hma_ft.memory.ring_buffer import NO_ID
from hma_ft.methods.base import LabelledFeatures, Method
from hma_ft.methods.neighbours import Nearest, l2_normalize, nearest_in_blocks


class Neighbour(NamedTuple):
    """A training image in a memory."""

    distance: float  # 1 - cosine, in the space in which the method compares images
    label: int
    ids: tuple[int, ...]  # of the image, or of the two that it was mixed from; empty where no image is known


class MemoryLookup:
    """The rows of a method's memories as they are now, to be searched for the nearest images."""

    def __init__(self, method: Method, rows: LabelledFeatures, *, count: int) -> None:
        """`rows` are the method's `lookup_rows`; `count` images are found at most."""
        self.method = method
        self.count = count
        self.bank = FeatureBank(rows.features.shape[1]).to(rows.features.device)
        self.bank.set(*l2_normalize(rows._replace(features=method.lookup_features(rows.features))))
        # an image that a memory holds several times counts once, so that more rows are needed than images
        self._rows_of_one = int(rows.ids.unique(dim=0, return_counts=True)[1].max())

    @classmethod
    @torch.no_grad()
    def create(cls, method: Method, mode: str, *, count: int) -> Self | None:
        """Look up what an inference mode reads; None where the method keeps no images apart."""
        rows = method.lookup_rows(mode)
        return None if rows is None else cls(method, rows, count=count)

    @torch.no_grad()
    def __call__(self, features: Tensor, ids: Tensor | None = None) -> list[list[Neighbour]]:
        """Return the nearest images of each of the features [B, D], the nearest first.

        An image with an id [B] is not compared with itself where the method doesn't read that either.
        """
        if not self.method.excludes_own_rows:
            ids = None
        queries = self.method.lookup_features(features)
        blocks = nearest_in_blocks(queries, ids, self.bank, k=self.count * self._rows_of_one)
        return [row for _, found in blocks for row in self._images(found)]

    def _images(self, found: Nearest) -> list[list[Neighbour]]:
        pairs = self.bank.ids[found.rows].tolist()
        columns = zip(found.similarities.tolist(), found.labels.tolist(), pairs, strict=True)
        return [self._first_of_each(*column) for column in columns]

    def _first_of_each(self, similarities: list[float], labels: list[int], pairs: list[list[int]]) -> list[Neighbour]:
        """The nearest row of each image."""
        images: dict[tuple[int, ...], Neighbour] = {}
        for similarity, label, pair in zip(similarities, labels, pairs, strict=True):
            ids = tuple(sample for sample in pair if sample != NO_ID)
            if math.isfinite(similarity):  # else a row of its own
                images.setdefault(ids, Neighbour(max(0.0, 1.0 - similarity), label, ids))
        return list(images.values())[: self.count]
