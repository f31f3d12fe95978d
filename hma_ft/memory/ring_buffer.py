"""The real memory: a ring buffer of features of earlier training images, with their labels and ids."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.memory.label_embedding import LabelEmbedding
from hma_ft.memory.memory_rows import MemoryRows, reads_by_class

NO_ID = -1  # id of a row that belongs to no image


class RealMemory(nn.Module):
    """R rows, the oldest overwritten first.

    A row keeps the feature [D] (no gradient), the label and the ids of its image. Labels are kept as ids and
    embedded when they are read, so they never go stale; `store_vectors` keeps the embedding of the day of writing,
    as the release does. Rows that were never written hold noise of unit length and are not `filled`.
    """

    features: Tensor
    labels: Tensor
    vectors: Tensor
    ids: Tensor
    filled: Tensor
    pointer: Tensor

    def __init__(
        self,
        size: int,
        *,
        feature_width: int,
        label_width: int,
        num_classes: int,
        store_vectors: bool = False,
        soft_labels: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.num_classes = num_classes
        self.store_vectors = store_vectors
        self.soft_labels = soft_labels
        noise = functional.normalize(torch.randn(size, feature_width + label_width), dim=1)
        labels = torch.zeros(size, num_classes) if soft_labels else torch.full((size,), num_classes)
        self.register_buffer("features", noise[:, :feature_width].contiguous())
        self.register_buffer("labels", labels)
        self.register_buffer("vectors", noise[:, feature_width:].contiguous() if store_vectors else None)
        self.register_buffer("ids", torch.full((size, 2), NO_ID))
        self.register_buffer("filled", torch.zeros(size, dtype=torch.bool))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    def rows(self, table: LabelEmbedding) -> Tensor:
        """All rows [R, D + L]; the gradient reaches the label table unless vectors are stored."""
        labels = self.vectors if self.store_vectors else table(self.labels).to(self.features.dtype)
        return torch.cat([self.features, labels], dim=1)

    def stored(self, table: LabelEmbedding) -> MemoryRows:
        """The same rows as they are kept, to be read in place."""
        if self.store_vectors:
            return MemoryRows(self.features, self.vectors)
        weight = table.embedding.weight[: self.num_classes] if self.soft_labels else table.embedding.weight
        if reads_by_class(*weight.shape):
            return MemoryRows(self.features, self.labels, weight)
        return MemoryRows(self.features, table(self.labels).to(self.features.dtype))

    def fork(self) -> None:
        """Give the memory tensors of its own, so that a backward pass that is still to come keeps what it read."""
        self.features, self.labels = self.features.clone(), self.labels.clone()
        self.vectors = self.vectors.clone() if self.store_vectors else self.vectors

    def read_mask(self, ids: Tensor | None, *, mask_unfilled: bool, exclude_self: bool) -> Tensor | None:
        """Which rows [R] or [N, R] the images with these ids ([N] or [N, 2]) may read; None: all rows."""
        mask = self.filled if mask_unfilled else None
        if exclude_self and ids is not None:
            mixed = self.soft_labels or ids.ndim == 2
            own = ids_overlap(ids, self.ids if mixed else self.ids[:, 0])
            mask = ~own if mask is None else mask & ~own
        return mask

    @torch.no_grad()
    def write(self, features: Tensor, labels: Tensor, ids: Tensor | None, table: LabelEmbedding) -> None:
        """Append images: features [N, D], labels [N] or probabilities [N, C], ids [N], [N, 2] (mixed pairs) or None.

        Of more than R images the last R stay, as if they had been written one by one.
        """
        if self.size == 0:
            return
        # The pointer stays on the device: reading its value would make the host wait for all that is queued there.
        skipped = max(len(features) - self.size, 0)
        slots = (torch.arange(skipped, len(features), device=features.device) + self.pointer) % self.size
        self.pointer.copy_((self.pointer + len(features)) % self.size)
        features, labels = features[skipped:], labels[skipped:]
        self.features[slots] = features.to(self.features.dtype)
        self.labels[slots] = self._stored(labels)
        if self.store_vectors:
            self.vectors[slots] = table(labels).to(self.vectors.dtype)
        if ids is not None:
            self.ids[slots] = as_pairs(ids[skipped:])
        else:
            self.ids.index_fill_(0, slots, NO_ID)
        self.filled.index_fill_(0, slots, True)  # a scalar put by index would be copied over, and waited for

    def age(self) -> Tensor:
        """How many rows were written after each one, int64 [R]; of rows that were never written it means nothing."""
        return (self.pointer - 1 - torch.arange(self.size, device=self.pointer.device)) % max(self.size, 1)

    def class_probabilities(self) -> Tensor:
        """Labels as probabilities [R, C]; zero where a row was never written."""
        if self.soft_labels:
            return self.labels
        return functional.one_hot(self.labels, self.num_classes + 1)[:, : self.num_classes].to(self.features.dtype)

    def image_rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features [R, D], labels [R] and ids [R, 2] of the rows that were written.

        The label of a mixed image is the class with the larger share.
        """
        return self.features[self.filled], self.class_probabilities()[self.filled].argmax(1), self.ids[self.filled]

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor, ids: Tensor | None, table: LabelEmbedding) -> None:
        """Append images as rows of their own: the memory grows, nothing is overwritten. Shapes as in `write`.

        For evaluation of a trained memory. A state of another size loads only into a memory of that size.
        """
        self._keep_oldest_first(torch.ones_like(self.filled))
        start, self.size = self.size, self.size + len(features)
        for name, buffer in self._row_buffers().items():
            setattr(self, name, torch.cat([buffer, buffer.new_zeros(len(features), *buffer.shape[1:])]))
        self.pointer.fill_(start)
        self.write(features, labels, ids, table)

    @torch.no_grad()
    def remove(self, ids: Tensor) -> int:
        """Take out the rows of these images [N], those that were mixed from one of them included; their number.

        The memory shrinks by as many rows, as if they had never been written.
        """
        removed = ids_overlap(ids.to(self.ids), self.ids).any(0)
        self._keep_oldest_first(~removed)
        return int(removed.sum())

    def _keep_oldest_first(self, kept: Tensor) -> None:
        """Only these rows [R], in the order of writing; those never written come first, to be overwritten first."""
        order = (torch.arange(self.size, device=kept.device) + self.pointer) % max(self.size, 1)
        order = order[kept[order]]
        for name, buffer in self._row_buffers().items():
            setattr(self, name, buffer[order])
        self.size = len(order)
        self.pointer.zero_()

    def _row_buffers(self) -> dict[str, Tensor]:
        """The buffers that hold one entry a row."""
        return {name: buffer for name, buffer in self.named_buffers() if name != "pointer"}

    def _stored(self, labels: Tensor) -> Tensor:
        """Labels in the form of the buffer."""
        if not self.soft_labels:
            if labels.is_floating_point():
                raise ValueError("soft labels for a memory of label ids: build it with soft_labels=True")
            return labels
        if labels.is_floating_point():
            return labels.to(self.labels.dtype)
        return functional.one_hot(labels, self.num_classes).to(self.labels.dtype)


def as_pairs(ids: Tensor) -> Tensor:
    """Ids [N] or [N, 2] -> [N, 2], the second one missing for images that were not mixed."""
    if ids.ndim == 2:
        return ids
    return torch.stack([ids, torch.full_like(ids, NO_ID)], dim=1)


def ids_overlap(ids: Tensor, row_ids: Tensor) -> Tensor:
    """Whether image n and row r have an image in common: ids [N] or [N, 2], of rows [R] or [R, 2] -> [N, R]."""
    shared = torch.zeros(len(ids), len(row_ids), dtype=torch.bool, device=ids.device)
    columns = ids.unsqueeze(1) if ids.ndim == 1 else ids
    row_columns = row_ids.unsqueeze(1) if row_ids.ndim == 1 else row_ids
    for own in columns.unbind(1):
        own = own.masked_fill(own == NO_ID, NO_ID - 1)  # rows without an image belong to nobody
        for stored in row_columns.unbind(1):
            shared |= own[:, None] == stored[None, :]
    return shared
