"""What bfloat16 autocast must not lower: weights of attention, labels, statistics of rows."""

import pytest
import torch
from torch.nn import functional

from hma_ft.hma.attention import MemoryAttention
from hma_ft.memory.label_embedding import LabelEmbedding
from hma_ft.memory.memory_rows import MemoryRows
from hma_ft.memory.ring_buffer import RealMemory

C, L, D, ROWS = 5, 8, 24, 300


def table() -> LabelEmbedding:
    torch.manual_seed(0)
    return LabelEmbedding(C, L)


@pytest.mark.parametrize("top_k", [None, 20])
def test_attention_weights_are_in_single_precision(top_k: int | None) -> None:
    torch.manual_seed(0)
    block = MemoryAttention(32, heads=2, top_k=top_k, renormalise_top_k=True).eval()
    readers, rows = torch.randn(6, 32), torch.randn(ROWS, 32)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = block.weights(readers, block.project(rows), own=block.project(readers))
    assert found.own is not None and found.shared is not None
    assert found.shared.dtype == torch.float32
    total = found.own + found.shared.sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-6, rtol=0)  # bfloat16's miss it by 0.001
    if top_k is not None:
        assert ((found.shared > 0).sum(-1) + (found.own > 0) == top_k).all()


def test_a_certain_soft_label_is_the_embedding_of_its_class() -> None:
    labels, mixed = torch.arange(C), torch.rand(ROWS, C).softmax(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(table()(functional.one_hot(labels).float()), table()(labels))
        own = table()(mixed)
    expected = mixed.double() @ table().embedding.weight[:C].double()
    torch.testing.assert_close(own.double(), expected, atol=1e-6, rtol=0)


def test_stored_vectors_are_those_of_full_precision() -> None:
    features, labels = torch.randn(4, D), torch.rand(4, C).softmax(1)
    memory = RealMemory(4, feature_width=D, label_width=L, num_classes=C, store_vectors=True, soft_labels=True)
    with torch.autocast("cpu", torch.bfloat16):
        memory.write(features, labels, None, table())
    assert torch.equal(memory.features, features)
    torch.testing.assert_close(memory.vectors, labels @ table().embedding.weight[:C], atol=1e-6, rtol=0)


def test_statistics_of_soft_rows_are_those_of_a_layer_norm() -> None:
    features, labels = torch.randn(ROWS, D), torch.rand(ROWS, C).softmax(1)
    rows = MemoryRows(features, labels, table().embedding.weight[:C])
    with torch.autocast("cpu", torch.bfloat16):
        own = rows.inverse_std()
    whole = torch.cat([features.double(), labels.double() @ table().embedding.weight[:C].double()], dim=1)
    expected = whole.var(1, unbiased=False).rsqrt()
    torch.testing.assert_close(own.double(), expected, atol=0, rtol=1e-5)
