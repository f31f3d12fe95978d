"""Stored features: exact, checked, bounded, and computed by one process at a time."""

import os
from pathlib import Path

import pytest
import torch

from hma_ft.engine.feature_store import FeatureStore, StoredStep
from hma_ft.engine.inputs import MicroBatch
from hma_ft.methods.base import LabelledFeatures

LIMIT = 1_000_000


def micro_batch(seed: int) -> MicroBatch:
    torch.manual_seed(seed)
    return MicroBatch(torch.randn(4, 6), torch.rand(4, 3), torch.randint(9, (4, 2)))


def assert_equal(stored: StoredStep | None, expected: list[MicroBatch]) -> None:
    assert stored is not None and len(stored.micro_batches) == len(expected)
    for own, other in zip(stored.micro_batches, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))


def test_what_was_stored_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {"seed": 0}, limit_bytes=LIMIT)
    step = [micro_batch(0), micro_batch(1)]
    assert store.read_step(7) is None
    store.write_step(7, step, seconds=0.25)
    again = FeatureStore(tmp_path, {"seed": 0}, limit_bytes=LIMIT)
    assert_equal(again.read_step(7), step)
    assert FeatureStore(tmp_path, {"seed": 1}, limit_bytes=LIMIT).read_step(7) is None
    seen = LabelledFeatures(torch.randn(5, 6), torch.arange(5), torch.arange(5) + 3)
    store.write_split("val", seen, seconds=1 / 3)
    read = again.read_split("val")
    assert read is not None and all(torch.equal(a, b) for a, b in zip(read.features, seen, strict=True))
    took = again.read_step(7)
    assert took is not None and (took.seconds, read.seconds) == (0.25, 1 / 3)


def test_what_is_read_lies_where_torch_puts_tensors(tmp_path: Path) -> None:
    """The last digits of a product depend on the address: a run that reads equals one that computes."""
    store = FeatureStore(tmp_path, {}, limit_bytes=LIMIT)
    store.write_step(0, [micro_batch(0), micro_batch(1)], seconds=1.0)
    store.write_split("val", LabelledFeatures(torch.randn(5, 7), torch.arange(5), torch.arange(5)), seconds=1.0)
    step, split = store.read_step(0), store.read_split("val")
    assert step is not None and split is not None
    read = [*step.micro_batches[0], *step.micro_batches[1], *split.features]
    assert [tensor.data_ptr() % 64 for tensor in read] == [torch.empty(9).data_ptr() % 64] * len(read) == [0] * 9


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_a_damaged_entry_counts_as_absent(tmp_path: Path, damage: str) -> None:
    store = FeatureStore(tmp_path, {}, limit_bytes=LIMIT)
    store.write_step(0, [micro_batch(0)], seconds=1.0)
    (path,) = tmp_path.glob("*/step-*.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content if damage == "flipped" else content[:-40])
    with pytest.warns(UserWarning, match="damaged"):
        assert store.read_step(0) is None


def test_the_store_stays_within_its_bound_and_old_views_go_first(tmp_path: Path) -> None:
    old = FeatureStore(tmp_path, {"seed": 0}, limit_bytes=LIMIT)
    old.write_step(0, [micro_batch(0)], seconds=1.0)
    os.utime(old.directory, (1, 1))
    young = FeatureStore(tmp_path, {"seed": 1}, limit_bytes=LIMIT)
    young.write_step(0, [micro_batch(0)], seconds=1.0)
    size = sum(path.stat().st_size for path in young.directory.iterdir())
    newest = FeatureStore(tmp_path, {"seed": 2}, limit_bytes=size + 200)
    assert not old.directory.exists() and young.directory.exists()
    with pytest.warns(UserWarning, match="full"):
        newest.write_step(0, [micro_batch(0)], seconds=1.0)
    assert newest.read_step(0) is None


def test_one_process_produces_at_a_time(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {}, limit_bytes=LIMIT)
    with store.producing() as first, store.producing() as second:
        assert first and not second
    with store.producing() as third:
        assert third
