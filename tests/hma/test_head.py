"""The head against the method written out image by image."""

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hma_ft.config.schema import (
    HMAConfig,
    Inference,
    LabelStorage,
    LogitsFrom,
    RealMemoryConfig,
    SlotInit,
    SyntheticMemoryConfig,
    TrainContext,
)
from hma_ft.hma import HMAHead
from hma_ft.hma.attention import MemoryAttention
from tests.hma.dense import attend

D, C, L, B, R, S = 12, 3, 4, 5, 7, 2
EXACT = {"rtol": 0.0, "atol": 1e-9}


def build(real: dict[str, Any] | None = None, slots: int = S, **changes: Any) -> HMAHead:
    torch.manual_seed(0)
    config = HMAConfig(
        label_width=L,
        heads=2,
        dropout=0.0,
        real=RealMemoryConfig(**({"size": R} | (real or {}))),
        synthetic=SyntheticMemoryConfig(slots=slots),
    )
    soft_labels = changes.pop("soft_labels", False)
    return HMAHead(D, C, dataclasses.replace(config, **changes), soft_labels=soft_labels).double()


def batch(seed: int, size: int = B) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(size, D, generator=generator, dtype=torch.float64)
    return features, torch.randint(C, (size,), generator=generator), torch.arange(size) + 100 * seed


def dense_logits(
    head: HMAHead,
    features: Tensor,
    ids: Tensor | None,
    queued: list[tuple[Tensor, Tensor, set[int]]],
    context: str,
) -> Tensor:
    """`queued` rows: feature [D], label embedding [L], ids."""
    unknown = head.labels.embedding.weight[C]

    def read(row: Tensor, own: set[int]) -> Tensor:
        if head.real_attention is None:
            return row
        mask = [torch.cat([f, e]) for f, e, row_ids in queued if not (own & row_ids)]
        return attend(head.real_attention, row, [row, *mask])

    rows = [torch.cat([feature, unknown]) for feature in features]
    own_ids = [set() if ids is None else {int(i)} for i in (range(len(rows)) if ids is None else ids)]
    rows = [read(row, own) for row, own in zip(rows, own_ids, strict=True)]
    slots = []
    if head.synthetic_memory is not None:
        count = len(head.synthetic_memory.slots) // C
        slots = [
            torch.cat([head.synthetic_memory.slots[c * count + s], head.labels.embedding.weight[c]])
            for c, s in itertools.product(range(C), range(count))
        ]
    support = []
    if context == "support":
        bank = head.support
        support = [read(torch.cat([f, unknown]), {int(i)}) for f, i in zip(bank.features, bank.ids, strict=True)]
    mates = {"batch": lambda row: rows, "alone": lambda row: [row], "support": lambda row: [row, *support]}[context]
    out = torch.stack([attend(head.context_attention, row, [*mates(row), *slots]) for row in rows])
    part = {LogitsFrom.all: out, LogitsFrom.feature: out[:, :D], LogitsFrom.label: out[:, D:]}[head.config.logits_from]
    return part @ head.classifier.weight.T + head.classifier.bias


def queued_rows(head: HMAHead, batches: list[tuple[Tensor, Tensor, Tensor]]) -> list[tuple[Tensor, Tensor, set[int]]]:
    """The last R images, oldest first, labels embedded as of now."""
    rows = [
        (feature, head.labels.embedding.weight[label], {int(i)})
        for features, labels, ids in batches
        for feature, label, i in zip(features, labels, ids, strict=True)
    ]
    return rows[-R:]


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "top_k": {"top_k": 2},
    "top_k_renormalised": {"top_k": 2, "renormalise_top_k": True},
    "null_key": {"null_key": True},
    "temperature": {"score_scale": 3.0},
    "logits_from_feature": {"logits_from": LogitsFrom.feature},
    "logits_from_label": {"logits_from": LogitsFrom.label},
    "no_slots": {"slots": 0},
    "no_real_memory": {"real": {"size": 0}},
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("context", ["alone", "batch", "support"])
def test_inference_agrees_with_the_dense_formula(name: str, context: str) -> None:
    head = build(**VARIANTS[name]).eval()
    head.inference = Inference(context)
    written = [batch(1), batch(2)]
    for features, labels, ids in written:
        head.write(features, labels, ids)
    head.support.set(*batch(3, size=4))
    features, _, _ = batch(4)
    expected = dense_logits(head, features, None, queued_rows(head, written), context)
    torch.testing.assert_close(head(features), expected, **EXACT)
    with torch.no_grad(), head.cached_projections():
        torch.testing.assert_close(head(features), expected, **EXACT)


@pytest.mark.parametrize("train_context", list(TrainContext))
def test_training_agrees_with_the_dense_formula_gradients_too(train_context: TrainContext) -> None:
    head = build(train_context=train_context)
    written = [batch(1), batch(2)]
    for features, labels, ids in written:
        head.write(features, labels, ids)
    features, labels, _ = batch(4)
    ids = written[1][2] + 1  # most of them have an own row in the queue
    features.requires_grad_(True)
    wanted = [features, *head.parameters()]
    results = []
    for logits in (
        head(features, ids),
        dense_logits(head, features, ids, queued_rows(head, written), train_context.value),
    ):
        gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), wanted)
        results.append((logits, *gradients))
    for own, dense in zip(*results, strict=True):
        torch.testing.assert_close(own, dense, **EXACT)


def test_alone_does_not_depend_on_batch_mates() -> None:
    head = build().eval()
    head.write(*batch(1))
    features, _, _ = batch(2)
    others, _, _ = batch(3)
    others[0] = features[0]
    torch.testing.assert_close(head(features)[0], head(others)[0], **EXACT)
    torch.testing.assert_close(head(features)[0], head(features[:1])[0], **EXACT)
    head.inference = Inference.support
    head.support.set(*batch(4))
    torch.testing.assert_close(head(features)[0], head(others)[0], **EXACT)
    head.inference = Inference.batch
    assert (head(features)[0] - head(others)[0]).abs().max() > 1e-4


def test_without_any_memory_it_is_the_linear_head() -> None:
    head = build({"size": 0}, slots=0, batch_attention=False)
    torch.manual_seed(0)
    linear = nn.Linear(D, C).double()
    features, _, _ = batch(1)
    assert torch.equal(head(features), linear(features))
    assert sum(p.numel() for p in head.parameters()) == D * C + C


SWITCHES = list(itertools.product([0, R], [0, S], [False, True], list(LogitsFrom), list(TrainContext)))


@pytest.mark.parametrize(("size", "slots", "batch_attention", "logits_from", "train_context"), SWITCHES)
def test_every_combination_of_switches_trains(
    size: int, slots: int, batch_attention: bool, logits_from: LogitsFrom, train_context: TrainContext
) -> None:
    head = build(
        {"size": size},
        slots=slots,
        batch_attention=batch_attention,
        logits_from=logits_from,
        train_context=train_context,
    )
    features, labels, ids = batch(1)
    for _ in range(2):
        head.zero_grad()
        loss = nn.functional.cross_entropy(head(features, ids), labels)
        loss.backward()
        head.write(features, labels, ids)
    used = [name for name, p in head.named_parameters() if p.grad is None]
    assert not used, f"parameters without gradient: {used}"
    head.eval()
    assert head(features).shape == (B, C)


def test_zero_slots_of_a_class_stay_identical_and_gaussian_ones_do_not() -> None:
    for init, identical in ((SlotInit.zeros, True), (SlotInit.gaussian, False)):
        head = build()
        head = HMAHead(
            D, C, dataclasses.replace(head.config, synthetic=SyntheticMemoryConfig(slots=S, init=init))
        ).double()
        optimizer = torch.optim.SGD(head.parameters(), lr=0.5)
        features, labels, _ = batch(1)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(features), labels).backward()
            optimizer.step()
        slots = head.synthetic_memory.slots.detach().unflatten(0, (C, S))
        assert torch.allclose(slots[:, 0], slots[:, 1], rtol=0, atol=1e-12) == identical


def test_stored_ids_follow_the_label_table_and_stored_vectors_do_not() -> None:
    for store, follows in ((LabelStorage.ids, True), (LabelStorage.vectors, False)):
        head = build({"size": R, "store": store}).eval()
        head.write(*batch(1))
        features, _, _ = batch(2)
        before = head.read_real(head.labels.append_label_embedding(features, None), None)
        with torch.no_grad():
            head.labels.embedding.weight[:C] += torch.randn(C, L, dtype=torch.float64)
        after = head.read_real(head.labels.append_label_embedding(features, None), None)
        assert bool((before - after).abs().max() > 1e-6) == follows


def test_unfilled_rows_are_read_only_on_request() -> None:
    features, _, _ = batch(1)
    masked, noisy = build().eval(), build({"size": R, "mask_unfilled": False}).eval()
    rows = masked.labels.append_label_embedding(features, None)
    alone = torch.stack([attend(masked.real_attention, row, [row]) for row in rows])
    torch.testing.assert_close(masked.read_real(rows, None), alone, **EXACT)
    assert (noisy.read_real(rows, None) - alone).abs().max() > 1e-4


def test_soft_labels_are_weighted_embeddings() -> None:
    head = build(soft_labels=True).eval()
    features, labels, ids = batch(1)
    partners = labels.roll(1)
    one_hot = nn.functional.one_hot(torch.arange(C)).double()
    head.write(features, 0.7 * one_hot[labels] + 0.3 * one_hot[partners], ids)
    table = head.labels.embedding.weight
    expected = torch.cat([features, 0.7 * table[labels] + 0.3 * table[partners]], dim=1)
    torch.testing.assert_close(head.real_memory.rows(head.labels)[:B], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("alike", [True, False])
def test_keys_that_start_as_queries_read_what_is_alike(alike: bool) -> None:
    """Before any training a row's nearest memory is its own copy; with independent projections it is any."""
    torch.manual_seed(0)
    attention = MemoryAttention(64, score_scale=10.0, tie_query_key_init=alike).eval()
    rows = torch.randn(40, 64)
    weights = attention.weights(rows, attention.project(rows.flip(0))).shared
    assert weights is not None
    nearest = weights.mean(0).argmax(-1)
    share = (nearest == torch.arange(40).flip(0)).float().mean().item()
    assert share == 1.0 if alike else share < 0.2
    torch.manual_seed(0)
    other = MemoryAttention(64, tie_query_key_init=not alike)
    for name, value in attention.state_dict().items():  # nothing else is drawn anew
        assert torch.equal(value, other.state_dict()[name]) == (not name.startswith("key.")), name
