"""The memory that is read without projecting it, against the method written out image by image."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hma_ft.config.schema import LabelStorage, TrainContext
from hma_ft.hma import HMAHead, absorbed_attention, attention
from hma_ft.hma.attention import MemoryAttention
from hma_ft.memory import memory_rows, ring_buffer
from hma_ft.memory.label_embedding import LabelEmbedding
from hma_ft.memory.memory_rows import MemoryRows
from hma_ft.memory.ring_buffer import RealMemory
from tests.hma.dense import attend
from tests.hma.test_head import EXACT, B, C, D, L, R, batch, build, dense_logits, queued_rows


@pytest.fixture(params=["by_class", "by_label", "projected"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Takes one of the ways, whatever it costs, in blocks of three rows."""
    monkeypatch.setattr(attention, "prefer_absorbed", lambda _: request.param != "projected")
    monkeypatch.setattr(ring_buffer, "reads_by_class", lambda *_: request.param == "by_class")
    monkeypatch.setattr(memory_rows, "BLOCK", 3)
    return str(request.param)


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "null_key": {"null_key": True},
    "temperature": {"score_scale": 3.0},
    "no_slots": {"slots": 0},
    "alone": {"train_context": TrainContext.alone},
    "larger_than_the_queue": {"real": {"size": 3 * R}},  # most rows are not filled
}


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_gradients_agree_with_the_dense_formula(path: str, name: str) -> None:
    head = build(**VARIANTS[name])
    written = [batch(1), batch(2)]
    for features, labels, ids in written:
        head.write(features, labels, ids)
    features, labels, _ = batch(4)
    ids = written[1][2] + 1  # most of them have an own row in the queue
    features.requires_grad_(True)
    rows = queued_rows(head, written) if name != "larger_than_the_queue" else _all_rows(head, written)
    context = head.config.train_context.value
    results = []
    for logits in (head(features, ids), dense_logits(head, features, ids, rows, context)):
        loss = nn.functional.cross_entropy(logits, labels)
        results.append((logits, *torch.autograd.grad(loss, [features, *head.parameters()])))
    for own, dense in zip(*results, strict=True):
        torch.testing.assert_close(own, dense, **EXACT)


def _all_rows(head: HMAHead, batches: list[tuple[Tensor, Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, set[int]]]:
    return [row for one in batches for row in queued_rows(head, [one])]


def test_a_memory_with_nothing_in_it_leaves_the_readers_to_themselves(path: str) -> None:
    head = build()
    features, _, ids = batch(1)
    rows = head.labels.append_label_embedding(features, None)
    alone = torch.stack([attend(head.real_attention, row, [row]) for row in rows])
    torch.testing.assert_close(head.read_real(rows, ids), alone, **EXACT)
    gradients = torch.autograd.grad(head.read_real(rows, ids).sum(), list(head.real_attention.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_soft_labels_get_the_same_gradient_on_all_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for unprojected_way, by_class in ((True, True), (True, False), (False, False)):
        monkeypatch.setattr(attention, "prefer_absorbed", lambda _, chosen=unprojected_way: chosen)
        monkeypatch.setattr(ring_buffer, "reads_by_class", lambda *_, chosen=by_class: chosen)
        head = build(soft_labels=True)
        features, labels, ids = batch(1)
        probabilities = nn.functional.one_hot(labels, C).double().mul(0.7).add(0.1)
        head.write(features, probabilities, ids)
        reading, _, _ = batch(2)
        loss = head.read_real(head.labels.append_label_embedding(reading, None), None).square().sum()
        results.append(torch.autograd.grad(loss, head.labels.embedding.weight)[0])
    for gradient in results[:2]:
        torch.testing.assert_close(gradient, results[2], **EXACT)


def test_the_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    features = torch.randn(R, D, dtype=torch.float64)
    mask = torch.rand(B, R) > 0.3
    queries = torch.randn(2, B, D + L, dtype=torch.float64, requires_grad=True)
    labels = torch.randn(R, L, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda q, e: absorbed_attention.mix(q, MemoryRows(features, e), mask)[:2], (queries, labels), atol=1e-7
    )
    table, classes = torch.randn(C, L, dtype=torch.float64, requires_grad=True), torch.arange(R) % C
    assert torch.autograd.gradcheck(
        lambda q, e: absorbed_attention.mix(q, MemoryRows(features, classes, e), mask)[:2], (queries, table), atol=1e-7
    )


def test_stored_vectors_are_read_and_take_no_gradient(path: str) -> None:
    head = build({"size": R, "store": LabelStorage.vectors})
    head.write(*batch(1))
    features, _, _ = batch(2)
    rows = head.labels.append_label_embedding(features, None).detach()
    stored = torch.cat([head.real_memory.features, head.real_memory.vectors], dim=1)[:B]
    expected = torch.stack([attend(head.real_attention, row, [row, *stored]) for row in rows])
    torch.testing.assert_close(head.read_real(rows, None), expected, **EXACT)


def test_half_precision_stays_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "prefer_absorbed", lambda _: True)
    results = []
    for enabled in (True, False):
        head = build(null_key=True).float()
        written = batch(1)
        head.write(*written)
        features, labels, ids = batch(2)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits = head(features.float(), ids)
            loss = nn.functional.cross_entropy(logits.float(), labels)
        gradients = torch.autograd.grad(loss, list(head.real_attention.parameters()))
        results.append((logits.float(), *(gradient.float() for gradient in gradients)))
    for half, full in zip(*results, strict=True):
        assert (half - full).norm() <= 0.03 * full.norm() + 1e-3


def test_the_cheaper_way_is_chosen_by_size() -> None:
    block = MemoryAttention(832)
    sizes = {rows: MemoryRows(torch.empty(rows, 768), torch.empty(rows, 64)) for rows in (64, 512, 65536)}
    assert [block.prefers_absorbed(128, memory) for memory in sizes.values()] == [False, True, True]
    assert not block.prefers_absorbed(4096, sizes[65536])  # many readers: projecting once is cheaper
    assert not MemoryAttention(832, top_k=8).prefers_absorbed(128, sizes[65536])


@pytest.mark.parametrize(("classes", "by_class"), [(3, True), (300, False)])
def test_few_classes_are_read_by_their_ids_and_many_by_their_labels(classes: int, by_class: bool) -> None:
    memory, table = RealMemory(5, feature_width=8, label_width=16, num_classes=classes), LabelEmbedding(classes, 16)
    memory.write(torch.randn(4, 8), torch.tensor([0, 1, 2, 1]), None, table)
    stored, rows = memory.stored(table), memory.rows(table)
    assert (stored.code_width, stored.width) == (classes + 1 if by_class else 16, 24)
    torch.testing.assert_close(torch.cat([stored.unfold(block) for _, block in stored.blocks(torch.float32)]), rows)
    torch.testing.assert_close(stored.inverse_std(), rows.var(1, correction=0).rsqrt())
    vectors = torch.randn(2, 24)
    products = torch.cat([stored.fold(vectors) @ block.T for _, block in stored.blocks(torch.float32)], dim=1)
    torch.testing.assert_close(products, vectors @ rows.T)


def test_no_tensor_of_readers_by_rows_by_width_exists() -> None:
    readers, rows, width = 8, 4 * memory_rows.BLOCK, 32
    features = torch.randn(rows, width - 4)
    labels = torch.randn(rows, 4, requires_grad=True)
    queries = torch.randn(2, readers, width, requires_grad=True)
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            for value in result if isinstance(result, tuple) else (result,):
                largest = max(largest, value.numel() if isinstance(value, Tensor) else 0)
            return result

    with Largest():
        mixture = absorbed_attention.mix(queries, MemoryRows(features, labels), None)
        (mixture.rows.sum() + mixture.lse.sum()).backward()
    assert largest <= memory_rows.BLOCK * max(width, 2 * readers)


@pytest.mark.parametrize("null_key", [False, True])
@pytest.mark.parametrize("read_self", [False, True])
def test_fused_attention_agrees_with_explicit_weights(null_key: bool, read_self: bool) -> None:
    """The way of GPUs; it runs on a CPU too."""
    torch.manual_seed(0)
    block = attention.MemoryAttention(D, heads=2, null_key=null_key).double().eval()
    rows = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    memory = block.project(torch.randn(R, D, dtype=torch.float64))
    mask = torch.rand(B, R) > 0.3
    own = block.project(rows) if read_self else None
    results = []
    for read in (block._read_fused, block._read_weighted):
        mixed = read(rows, memory, own=own, mask=mask)
        results.append(
            (mixed, *torch.autograd.grad(mixed.square().sum(), [rows, block.query.weight], retain_graph=True))
        )
    for fused, weighted in zip(*results, strict=True):
        torch.testing.assert_close(fused, weighted, **EXACT)
