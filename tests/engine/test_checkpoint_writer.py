"""Writes in the background: their order, what they hold, and what becomes of one that fails."""

import threading
from typing import Any

import pytest
import torch

from hma_ft.engine.checkpoint_writer import WAITING, CheckpointWriter


class Gate:
    """A write that lasts until it is let through."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def __call__(self) -> None:
        assert self.open.wait(30)


def test_a_write_gets_what_was_there_when_it_was_asked_for() -> None:
    weight = torch.arange(6.0).view(2, 3)
    tied = {"a": weight, "list": [weight.T, 3], "pair": (weight, {"step": torch.tensor(1)})}
    writer, seen, gate = CheckpointWriter(in_background=True), list[Any](), Gate()
    held = writer.held(tied)
    writer.submit(gate)
    writer.submit(lambda: seen.append(held))
    weight.zero_()
    assert not seen
    gate.open.set()
    writer.wait()
    (written,) = seen
    expected = torch.arange(6.0).view(2, 3)
    assert torch.equal(written["a"], expected) and torch.equal(written["list"][0], expected.T)
    assert torch.equal(written["pair"][0], expected) and written["list"][1] == 3


def test_without_a_thread_nothing_is_copied_and_nothing_waits() -> None:
    writer, seen = CheckpointWriter(in_background=False), list[int]()
    content = {"weight": torch.ones(2)}
    assert writer.held(content) is content
    writer.submit(lambda: seen.append(threading.get_ident()))
    assert seen == [threading.get_ident()]


def test_writes_keep_their_order_and_few_are_queued() -> None:
    writer, order, gate = CheckpointWriter(in_background=True), list[int](), Gate()
    writer.submit(gate)
    writer.submit(lambda: order.append(1))
    threading.Timer(0.2, gate.open.set).start()
    assert WAITING == 2
    writer.submit(lambda: order.append(2))  # waits for the gate
    assert gate.open.is_set()
    writer.wait()
    assert order == [1, 2]


def test_a_failed_write_is_told_and_ends_those_behind_it() -> None:
    writer, reached, gate = CheckpointWriter(in_background=True), list[str](), Gate()

    def fail() -> None:
        gate()
        raise OSError("no room")

    writer.submit(fail)
    writer.submit(lambda: reached.append("the checkpoint that names it"))
    gate.open.set()
    with pytest.raises(OSError, match="no room"):
        writer.wait()
    writer.wait()
    assert not reached


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_copied_into_pinned_memory() -> None:
    weight = torch.randn(64, 64, device="cuda")
    expected = weight.cpu()
    held = CheckpointWriter(in_background=True).held({"weight": weight, "strided": weight.T})
    weight.zero_()
    assert torch.equal(held["weight"], expected) and held["weight"].is_pinned()
    assert torch.equal(held["strided"], expected.T)
