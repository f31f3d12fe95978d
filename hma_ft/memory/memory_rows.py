"""The rows of a memory as they are stored, for a reader that does without their projections.

A row is [feature ; label] of width W = D + L, and it is read through a LayerNorm without weight and bias. Labels are
kept as ids of a table's rows, or as weights of them. So the products of a vector [f ; l] with the labels of all rows
are known from its products with the table: [f ; table l] times [feature ; code], where a code has a one in the column
of its class. `fold` and `unfold` take vectors there and back; with few classes a code is no wider than a label, and no
gradient of single rows is needed for that of the table.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from hma_ft.precision import without_autocast

BLOCK = 1024  # rows at a time: what is computed with them stays in the processor's cache
EPS = 1e-12  # of the LayerNorm


def reads_by_class(classes: int, label_width: int) -> bool:
    """Whether codes of so many classes take less than labels: four products with a code, or six with a label."""
    return 4 * classes <= 6 * label_width


class MemoryRows(NamedTuple):
    """R rows."""

    features: Tensor  # [R, D], no gradient
    labels: Tensor  # int64 [R]: rows of the table; [R, M]: weights of its rows; without a table [R, L]: the labels
    table: Tensor | None = None  # [M, L]

    @property
    def width(self) -> int:
        """Width of a row, W."""
        return self.features.shape[1] + (self.labels if self.table is None else self.table).shape[1]

    @property
    def code_width(self) -> int:
        """Width of a label as it is stored here."""
        return self.labels.shape[1] if self.table is None else self.table.shape[0]

    def fold(self, vectors: Tensor) -> Tensor:
        """[..., W] -> [..., D + code width], with the same products."""
        if self.table is None:
            return vectors
        features, labels = self._parts(vectors)
        return torch.cat([features, (labels @ self.table.T).to(features.dtype)], dim=-1)

    def unfold(self, mixed: Tensor) -> Tensor:
        """A weighted sum of rows as they lie here [..., D + code width] -> of the rows themselves [..., W]."""
        if self.table is None:
            return mixed
        features, codes = self._parts(mixed)
        return torch.cat([features, (codes @ self.table).to(features.dtype)], dim=-1)

    def inverse_std(self) -> Tensor:
        """[R], with a gradient to the labels."""
        label_sum, label_square = self._label_moments()
        mean = (self.features.sum(1) + label_sum) / self.width
        square = (torch.linalg.vector_norm(self.features, dim=1).square() + label_square) / self.width
        return ((square - mean.square()).clamp_min(0.0) + EPS).rsqrt()

    def blocks(self, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
        """(which, rows as they lie here [K, D + code width] in `dtype`), `BLOCK` at a time."""
        one_hot = None
        if self.table is not None and not self.labels.is_floating_point():
            one_hot = torch.eye(len(self.table), dtype=self.features.dtype, device=self.features.device)
        for start in range(0, len(self.features), BLOCK):
            block = slice(start, start + BLOCK)
            labels = self.labels[block]
            codes = labels.to(self.features.dtype) if one_hot is None else one_hot[labels]
            yield block, torch.cat([self.features[block], codes], dim=1).to(dtype)

    def _parts(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        width = self.features.shape[1]
        return vectors[..., :width], vectors[..., width:]

    def _label_moments(self) -> tuple[Tensor, Tensor]:
        """Sum of the label's columns, and of their squares, each [R]."""
        if self.table is not None and not self.labels.is_floating_point():
            return self.table.sum(1)[self.labels], self.table.square().sum(1)[self.labels]
        labels = self.labels
        if self.table is not None:
            with without_autocast(self.table):
                labels = labels.to(self.table.dtype) @ self.table
        return labels.sum(1), labels.square().sum(1)
