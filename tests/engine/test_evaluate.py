"""Evaluation: every sample once, in any batch size, in every inference mode."""

import pytest
import torch
from accelerate import Accelerator

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.transforms import EvalTransform
from hma_ft.engine.evaluate import Evaluator
from hma_ft.methods.base import Method
from tests.methods.conftest import build

__all__ = ["build"]  # a fixture


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits"))


def evaluator(method: Method, splits: Splits, batch_size: int = 64) -> Evaluator:
    return Evaluator(
        method,
        Accelerator(cpu=True),
        {"train": splits.train, "val": splits.val, "test": splits.test},
        EvalTransform(16, crop_ratio=1.0, interpolation="bicubic"),
        batch_size=batch_size,
        num_workers=0,
        seed=0,
    )


def filled(method: Method, splits: Splits) -> Method:
    """The real memory holds some training features."""
    seen = evaluator(method, splits).features("train", torch.arange(100))
    method.head.write(seen.features, seen.labels, seen.ids)
    return method


@pytest.mark.parametrize("mode", ["alone", "support"])
def test_the_batch_size_changes_nothing(mode: str, build: object, splits: Splits) -> None:
    method = filled(build("hma_head"), splits)
    whole = evaluator(method, splits, 450).predict("test", mode)
    parts = evaluator(method, splits, 7).predict("test", mode)
    assert whole.ids.tolist() == parts.ids.tolist() == list(range(450))
    assert torch.equal(whole.labels, splits.test.labels)
    torch.testing.assert_close(whole.probabilities, parts.probabilities, atol=2e-6, rtol=0)
    torch.testing.assert_close(whole.probabilities.sum(1), torch.ones(450))


def test_batches_are_shuffled_and_seeded(build: object, splits: Splits) -> None:
    method = filled(build("hma_head"), splits)
    first, again = (evaluator(method, splits).predict("test", "batch").probabilities for _ in range(2))
    assert torch.equal(first, again)
    alone = evaluator(method, splits).predict("test", "alone").probabilities
    assert (first - alone).abs().max() > 1e-5
    # in the order of the ids the batches would be others
    in_order = torch.cat([logits_of(method, splits, rows) for rows in torch.arange(450).split(64)])
    assert (first - in_order).abs().max() > 1e-6


def logits_of(method: Method, splits: Splits, rows: torch.Tensor) -> torch.Tensor:
    seen = evaluator(method, splits).features("test")
    with torch.no_grad(), method.eval().inference("batch"):
        return method(seen.features[rows]).logits.softmax(1)


def test_frozen_features_are_computed_once(build: object, splits: Splits) -> None:
    method = build("head")
    one = evaluator(method, splits)
    calls = []
    method.backbone.register_forward_hook(lambda *_: calls.append(1))
    one.predict("val", "alone")
    count = len(calls)
    one.predict("val", "alone")
    assert count == 5  # 269 images in batches of 64
    assert len(calls) == count


def test_a_trained_backbone_is_read_anew(build: object, splits: Splits) -> None:
    method = build("full")
    one = evaluator(method, splits)
    before = one.predict("val", "alone").probabilities
    with torch.no_grad():
        method.backbone.vit.blocks[0].mlp.fc1.weight.mul_(1.5)
    assert not torch.equal(one.predict("val", "alone").probabilities, before)


def test_while_no_weight_changes_a_split_is_read_once_for_all_modes(build: object, splits: Splits) -> None:
    method = build("hma")
    calls = []
    method.backbone.register_forward_hook(lambda *_: calls.append(1))
    one, apart = evaluator(method, splits), {}
    for mode in method.inference_modes():
        apart[mode] = one.predict("val", mode).probabilities
    calls.clear()
    with one.weights_held():
        together = {mode: one.predict("val", mode).probabilities for mode in (*apart, *apart)}
    assert len(calls) == 5 + 2  # 269 images and a support set of 128, in batches of 64
    assert all(torch.equal(together[mode], apart[mode]) for mode in apart)


def test_images_of_val_are_kept_for_the_next_pass(
    build: object, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = type(splits.val).load
    monkeypatch.setattr(type(splits.val), "load", lambda *given: (loaded.append(given[1]), load(*given))[1])
    needed = len(splits.val) * 3 * 16 * 16
    for bound, passes in ((needed, 1), (needed - 1, 2)):
        loaded.clear()
        one = Evaluator(
            build("full"),
            Accelerator(cpu=True),
            {"train": splits.train, "val": splits.val, "test": splits.test},
            EvalTransform(16, crop_ratio=1.0, interpolation="bicubic"),
            batch_size=64,
            num_workers=0,
            seed=0,
            kept_bytes=bound,
        )
        first, again = (one.predict("val", "alone").probabilities for _ in range(2))
        assert torch.equal(first, again)
        assert len(loaded) == passes * len(splits.val)


def test_memories_are_projected_once_an_evaluation(
    build: object, splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where features are at hand and the method was training until now."""
    method = filled(build("hma_head", "method.hma.real.size=512"), splits)
    one = evaluator(method, splits)
    attention, projected = method.head.real_attention, []
    project = attention.project
    monkeypatch.setattr(attention, "project", lambda rows: (projected.append(len(rows)), project(rows))[1])
    for _ in range(2):
        method.train()
        one.predict("val", "alone")
    assert projected.count(512) == 2
