"""Multi-head attention over memories: the block MAB of the method (Set Transformer, Lee et al., ICML 2019, with the
release's pre-norms).

For a row x and the rows Y that it reads:

    q = Wq LN(x),  k = Wk LNkv(Y),  v = Wv LNkv(Y)
    y = x + dropout(heads of softmax(score_scale * q k^T / sqrt(W)) v)
    out = y + FFN(LN1(y))

Every row may read itself beside the rows that all share. The shared rows are projected once for all readers, so no
tensor of shape [readers, rows, width] ever exists.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hma_ft.hma.absorbed_attention import Sizes, mix, prefer_absorbed
from hma_ft.memory.memory_rows import MemoryRows
from hma_ft.precision import at_least_single

_NOTHING_TO_READ = "nothing to read: no shared rows, no row of its own, no null slot"


class KeyValue(NamedTuple):
    """Projected rows of a memory."""

    key: Tensor  # [heads, rows, width / heads]
    value: Tensor  # [heads, rows, width / heads]


class Weights(NamedTuple):
    """Where the attention of each reader went; the three parts sum to 1, unless top-k dropped some."""

    own: Tensor | None  # [heads, readers]: the reader's own row
    shared: Tensor | None  # [heads, readers, rows]
    null: Tensor | None  # [heads, readers]: the null slot


class MemoryAttention(nn.Module):
    """Rows of width W read memories of the same width.

    Scores are divided by sqrt(W), the full width, as in the release, not by that of a head.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int = 4,
        score_scale: float = 1.0,
        tie_query_key_init: bool = False,
        top_k: int | None = None,
        renormalise_top_k: bool = False,
        null_key: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} can't be divided into {heads} heads")
        self.heads = heads
        self.scale = score_scale / math.sqrt(width)
        self.top_k = top_k
        self.renormalise_top_k = renormalise_top_k
        self.query_norm = nn.LayerNorm(width, eps=1e-12)
        self.memory_norm = nn.LayerNorm(width, eps=1e-12)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        if tie_query_key_init:  # q.k is then a random projection's estimate of the rows' inner product
            self.key.load_state_dict(self.query.state_dict())
        self.null_key = nn.Parameter(torch.randn(width) / math.sqrt(width)) if null_key else None
        self.dropout = nn.Dropout(dropout)
        self.ffn_norm = nn.LayerNorm(width, eps=1e-12)
        self.ffn = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
            nn.Dropout(dropout),
        )

    def project(self, rows: Tensor) -> KeyValue:
        """Keys and values of memory rows [K, W]."""
        normed = self.memory_norm(rows)
        return KeyValue(self._split(self.key(normed)), self._split(self.value(normed)))

    def forward(
        self,
        rows: Tensor,
        shared: KeyValue | MemoryRows | None,
        *,
        mask: Tensor | None = None,
        read_self: bool = True,
    ) -> Tensor:
        """Readers [N, W] and the memory they share, K rows -> [N, W].

        `mask` [K] or [N, K] is false where a row must not be read; `read_self` lets each reader read itself. A
        memory that was not projected is read as it is, which top-k does not allow.
        """
        own = self.project(rows) if read_self else None
        if isinstance(shared, MemoryRows):
            mixed = self._read_absorbed(rows, shared, own=own, mask=mask)
        elif self.top_k is None and rows.is_cuda:
            mixed = self._read_fused(rows, shared, own=own, mask=mask)
        else:
            mixed = self._read_weighted(rows, shared, own=own, mask=mask)
        attended = rows + self.dropout(mixed.transpose(0, 1).flatten(1))
        return attended + self.ffn(self.ffn_norm(attended))

    def prefers_absorbed(self, readers: int, memory: MemoryRows) -> bool:
        """Whether a memory of this size is better not projected for so many readers."""
        sizes = Sizes.of(readers, memory, heads=self.heads, backward=torch.is_grad_enabled())
        return self.top_k is None and prefer_absorbed(sizes)

    def _read_weighted(
        self, rows: Tensor, shared: KeyValue | None, *, own: KeyValue | None, mask: Tensor | None
    ) -> Tensor:
        """Values mixed by explicit weights: [heads, N, W / heads]."""
        weights = self.weights(rows, shared, own=own, mask=mask)
        mixed = torch.zeros((), dtype=rows.dtype, device=rows.device)
        if own is not None and weights.own is not None:
            mixed = mixed + weights.own.unsqueeze(-1) * own.value
        if shared is not None and weights.shared is not None:
            mixed = mixed + weights.shared @ shared.value
        return mixed

    def _read_fused(
        self, rows: Tensor, shared: KeyValue | None, *, own: KeyValue | None, mask: Tensor | None
    ) -> Tensor:
        """The same through torch's fused attention, which keeps no weights: [heads, N, W / heads].

        For GPUs only: on a CPU explicit weights are no slower.

        The readers' own rows come first among the keys, each visible to its reader only; the null slot comes last.
        """
        parts = [part for part in (own, shared, self._null_key_value()) if part is not None]
        if not parts:
            raise ValueError(_NOTHING_TO_READ)
        seen = []
        if own is not None:
            # shape[0]: torch.export would take len() for a constant
            seen.append(torch.eye(rows.shape[0], dtype=torch.bool, device=rows.device))
        if shared is not None:
            everything = torch.ones((), dtype=torch.bool, device=rows.device)
            seen.append((everything if mask is None else mask).expand(rows.shape[0], shared.key.shape[1]))
        if self.null_key is not None:
            seen.append(torch.ones(rows.shape[0], 1, dtype=torch.bool, device=rows.device))
        key, value = (torch.cat(tensors, dim=1) for tensors in zip(*parts, strict=True))
        mask = None if own is None and mask is None else torch.cat(seen, dim=1)
        query = self._split(self.query(self.query_norm(rows)))
        query, key, value = (tensor.unsqueeze(0) for tensor in (query, key.to(query.dtype), value.to(query.dtype)))
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=self.scale).squeeze(0)

    def _read_absorbed(self, rows: Tensor, memory: MemoryRows, *, own: KeyValue | None, mask: Tensor | None) -> Tensor:
        """The same with the projections moved to the readers: [heads, N, W / heads]."""
        query = self._split(self.query(self.query_norm(rows))) * self.scale
        norm, key, value = self.memory_norm, self.key, self.value
        moved = query @ key.weight.unflatten(0, (self.heads, -1)).to(query.dtype)
        mixture = mix((moved * norm.weight).to(query.dtype), memory, mask)
        key_bias = (moved @ norm.bias.to(moved.dtype)) + torch.einsum("hnd,hd->hn", query, self._by_head(key.bias))
        affine = mixture.rows * norm.weight + norm.bias
        values = [affine @ self._by_head(value.weight).transpose(1, 2) + self._by_head(value.bias).unsqueeze(1)]
        scores = [mixture.lse + key_bias]
        if own is not None:
            values.append(own.value)
            scores.append((query * own.key).sum(-1))
        if self.null_key is not None:
            values.append(torch.zeros_like(values[0]))
            scores.append(torch.einsum("hnd,hd->hn", query, self._by_head(self.null_key)))
        weights = at_least_single(torch.stack(scores)).softmax(dim=0).unsqueeze(-1)
        return sum((w * v for w, v in zip(weights, values, strict=True)), torch.zeros_like(values[0]))

    def _null_key_value(self) -> KeyValue | None:
        """A key of its own, whose value is zero: [heads, 1, W / heads]."""
        if self.null_key is None:
            return None
        key = self._by_head(self.null_key).unsqueeze(1)
        return KeyValue(key, torch.zeros_like(key))

    def _by_head(self, weight: Tensor) -> Tensor:
        """[W, ...] -> [heads, W / heads, ...]."""
        return weight.unflatten(0, (self.heads, -1))

    def weights(
        self, rows: Tensor, shared: KeyValue | None, *, own: KeyValue | None = None, mask: Tensor | None = None
    ) -> Weights:
        """Attention weights of the readers [N, W] over their own rows, the shared rows and the null slot."""
        query = self._split(self.query(self.query_norm(rows))) * self.scale
        scores = []
        if own is not None:
            scores.append((query * own.key).sum(-1, keepdim=True))
        if shared is not None:
            shared_scores = query @ shared.key.transpose(1, 2)
            if mask is not None:
                shared_scores = shared_scores.masked_fill(~mask, -math.inf)
            scores.append(shared_scores)
        if self.null_key is not None:
            null_key = self.null_key.unflatten(0, (self.heads, -1)).unsqueeze(-1)
            scores.append(query @ null_key)
        if not scores:
            raise ValueError(_NOTHING_TO_READ)
        joint = self._keep_top_k(at_least_single(torch.cat(scores, dim=-1)).softmax(dim=-1))
        first = 0 if own is None else 1
        last = joint.shape[-1] - (0 if self.null_key is None else 1)
        return Weights(
            own=None if own is None else joint[..., 0],
            shared=None if shared is None else joint[..., first:last],
            null=None if self.null_key is None else joint[..., -1],
        )

    def _keep_top_k(self, weights: Tensor) -> Tensor:
        """Zero all but the k largest weights of each reader and head."""
        if self.top_k is None or self.top_k >= weights.shape[-1]:
            return weights
        kept = torch.zeros_like(weights, dtype=torch.bool)
        kept.scatter_(-1, weights.topk(self.top_k, dim=-1).indices, True)
        weights = weights.masked_fill(~kept, 0.0)
        return weights / weights.sum(dim=-1, keepdim=True) if self.renormalise_top_k else weights

    def _split(self, rows: Tensor) -> Tensor:
        """[N, W] -> [heads, N, W / heads]."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(0, 1)
