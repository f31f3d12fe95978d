"""Where one block's attention went, with a name for every column."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hma_ft.hma.attention import KeyValue, MemoryAttention

SELF, REAL, BATCH, SUPPORT, SYNTHETIC, NULL = "self", "real", "batch", "support", "synthetic", "null"


@dataclass(frozen=True)
class AttentionMap:
    """Attention weights of readers over all that they could read.

    `columns` names the sources in their order and says which columns they take: `self` and `null` take one, `real` a
    row of the real memory each, `batch` an image each, `support` a row of the support set each, `synthetic` a slot
    each, class by class. A source that the block does not read is absent. In `batch` the reader's own column is the
    one on the diagonal.

    A row sums to 1, unless top-k dropped weights and did not renormalise.
    """

    weights: Tensor  # [heads, readers, columns]
    columns: dict[str, slice]

    def of(self, source: str) -> Tensor:
        """The columns of a source [heads, readers, n]. Raises KeyError for one that is not read."""
        return self.weights[..., self.columns[source]]

    def shares(self) -> dict[str, Tensor]:
        """How much of the attention goes to each source, [heads, readers] each; the reader's own column is `self`."""
        shares = {source: self.of(source).sum(-1) for source in self.columns}
        if BATCH in shares:
            own = self.of(BATCH).diagonal(dim1=1, dim2=2)
            shares = {SELF: own, **shares, BATCH: shares[BATCH] - own}
        return shares


def attention_weights(
    block: MemoryAttention,
    rows: Tensor,
    shared: KeyValue | None,
    sources: dict[str, int],
    mask: Tensor | None,
    *,
    read_self: bool = True,
) -> AttentionMap:
    """The weights by which `block` reads: readers [N, W], shared rows, and how many of these each source gave."""
    parts = block.weights(rows, shared, own=block.project(rows) if read_self else None, mask=mask)
    columns: dict[str, slice] = {}
    weights: list[Tensor] = []

    def append(source: str, count: int) -> None:
        start = max((taken.stop for taken in columns.values()), default=0)
        columns[source] = slice(start, start + count)

    if parts.own is not None:
        append(SELF, 1)
        weights.append(parts.own.unsqueeze(-1))
    for source, count in sources.items():
        append(source, count)
    if parts.shared is not None:
        weights.append(parts.shared)
    if parts.null is not None:
        append(NULL, 1)
        weights.append(parts.null.unsqueeze(-1))
    return AttentionMap(torch.cat(weights, dim=-1), columns)
