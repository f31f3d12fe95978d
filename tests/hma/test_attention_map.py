"""The weights that the head reports are those by which it computes: its logits follow from them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from hma_ft.config.schema import Inference
from hma_ft.hma import HMAHead
from hma_ft.hma.attention import MemoryAttention
from hma_ft.hma.attention_map import AttentionMap
from tests.hma.dense import norm
from tests.hma.test_head import EXACT, VARIANTS, B, C, R, S, batch, build


def output_of(block: MemoryAttention, reader: Tensor, memory: list[Tensor], weights: Tensor) -> Tensor:
    """One reader [W] and the rows that it reads, mixed by weights [heads, rows] (a null slot adds nothing)."""
    width = len(reader) // block.heads
    values = [block.value(norm(row, block.memory_norm)) for row in memory]
    mixed = [
        sum(weights[head, row] * value[head * width : (head + 1) * width] for row, value in enumerate(values))
        for head in range(block.heads)
    ]
    attended = reader + torch.cat(mixed)
    hidden = block.ffn[0](norm(attended, block.ffn_norm))
    return attended + block.ffn[3](0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2))))


def logits_from(head: HMAHead, maps: dict[str, AttentionMap], features: Tensor, support: list[Tensor]) -> Tensor:
    """The head's logits from nothing but the weights, with the sources in the order that they are named."""
    rows = [torch.cat([feature, head.labels.embedding.weight[C]]) for feature in features]
    if "real" in maps:
        queue = list(head.real_memory.rows(head.labels))
        weights = maps["real"].weights
        rows = [output_of(head.real_attention, row, [row, *queue], weights[:, n]) for n, row in enumerate(rows)]
    slots = [] if head.synthetic_memory is None else list(head.synthetic_memory.rows(head.labels))
    out = []
    for reader, row in enumerate(rows):
        held = {"self": [row], "batch": rows, "support": support, "synthetic": slots, "null": []}
        memory = [kept for source in maps["context"].columns for kept in held[source]]
        out.append(output_of(head.context_attention, row, memory, maps["context"].weights[:, reader]))
    return head.classifier(head._classified_part(torch.stack(out)))


def trained(name: str, context: str) -> HMAHead:
    head = build(**VARIANTS[name]).eval()
    head.inference = Inference(context)
    head.write(*batch(1))
    head.write(*batch(2))
    head.support.set(*batch(3, size=4))
    return head


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("context", ["alone", "batch", "support"])
@pytest.mark.parametrize("held", [False, True])
def test_logits_follow_from_the_weights(name: str, context: str, held: bool) -> None:
    head, (features, _, _) = trained(name, context), batch(4)
    support = head._support_rows() if context == "support" else []
    ids = batch(2)[2] if held else None  # images with rows of their own in the memory
    with torch.no_grad():
        if held:
            with head.cached_projections():
                maps, logits = head.attention(features, ids), head(features, ids)
        else:
            maps, logits = head.attention(features, ids), head(features, ids)
        torch.testing.assert_close(logits_from(head, maps, features, list(support)), logits, **EXACT)
    for block in maps.values():
        total = block.weights.sum(-1)
        if name == "top_k":
            assert total.max() < 1 + 1e-9 and total.min() < 0.999
        else:
            torch.testing.assert_close(total, torch.ones_like(total), **EXACT)
        torch.testing.assert_close(sum(block.shares().values()), total, **EXACT)


def test_columns_are_named_in_order() -> None:
    expected: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "alone": ({"self": 1, "real": R}, {"self": 1, "synthetic": C * S}),
        "batch": ({"self": 1, "real": R}, {"batch": B, "synthetic": C * S}),
        "support": ({"self": 1, "real": R}, {"self": 1, "support": 4, "synthetic": C * S}),
    }
    for context, (real, second) in expected.items():
        maps = trained("default", context).attention(batch(4)[0])
        for block, counts in (("real", real), ("context", second)):
            columns = maps[block].columns
            assert {source: maps[block].of(source).shape[-1] for source in columns} == counts
            assert list(columns) == list(counts)
    with_null = trained("null_key", "alone").attention(batch(4)[0])
    assert list(with_null["context"].columns) == ["self", "synthetic", "null"]
    assert with_null["context"].weights.shape[-1] == C * S + 2


def test_own_rows_get_no_attention() -> None:
    head = trained("default", "support")
    features, _, ids = batch(3, size=4)
    maps = head.attention(features, ids)
    own_support = maps["context"].of("support").diagonal(dim1=1, dim2=2)
    assert own_support.abs().max() == 0.0
    assert head.attention(features)["context"].of("support").diagonal(dim1=1, dim2=2).min() > 0
    queued, _, queued_ids = batch(2)
    real = head.attention(queued, queued_ids)["real"].of("real")
    own = queued_ids[:, None] == head.real_memory.ids[None, :, 0]
    assert own.sum() == len(queued)
    assert real[:, own].abs().max() == 0.0
    assert real[:, ~own].min() > 0


def test_attention_is_that_of_evaluation() -> None:
    with pytest.raises(RuntimeError, match=r"head\.eval"):
        build().attention(batch(1)[0])
