"""The memory head as the release computes it: the queue repeated, normalised and projected for each sample."""

import torch
from torch import Tensor, nn

from hma_ft.hma import HMAHead
from hma_ft.hma.attention import MemoryAttention


class ReleasedHead(nn.Module):
    """The weights of an `HMAHead` in the released formulation: same logits in training, other cost."""

    def __init__(self, head: HMAHead) -> None:
        super().__init__()
        if head.real_memory is None or head.synthetic_memory is None or head.labels is None:
            raise ValueError("the comparison is one of both memories")
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, D] -> logits [B, C]."""
        head = self.head
        assert head.real_memory is not None and head.synthetic_memory is not None and head.labels is not None
        assert head.real_attention is not None and head.context_attention is not None
        rows = head.labels.append_label_embedding(features, None)
        queue = head.real_memory.rows(head.labels).unsqueeze(0).repeat(len(rows), 1, 1)
        rows = _block(head.real_attention, rows.unsqueeze(1), torch.cat([rows.unsqueeze(1), queue], dim=1)).squeeze(1)
        slots = head.synthetic_memory.rows(head.labels)
        rows = _block(head.context_attention, rows.unsqueeze(0), torch.cat([rows, slots]).unsqueeze(0)).squeeze(0)
        return head.classifier(rows)


def _block(block: MemoryAttention, readers: Tensor, memory: Tensor) -> Tensor:
    """Readers [N, Q, W] and the memory of each [N, K, W] -> [N, Q, W]."""
    normed = block.memory_norm(memory)
    query = _by_head(block.query(block.query_norm(readers)), block.heads)
    key, value = _by_head(block.key(normed), block.heads), _by_head(block.value(normed), block.heads)
    weights = (query @ key.transpose(-1, -2) * block.scale).softmax(dim=-1)
    attended = readers + block.dropout((weights @ value).transpose(1, 2).flatten(2))
    return attended + block.ffn(block.ffn_norm(attended))


def _by_head(rows: Tensor, heads: int) -> Tensor:
    """[N, K, W] -> [N, heads, K, W / heads]."""
    return rows.unflatten(-1, (heads, -1)).transpose(1, 2)
