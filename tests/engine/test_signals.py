"""When a signal is heard: at once, at the next point that asks, and never where it would be lost or do harm."""

import os
import signal
import time
from collections.abc import Iterator
from multiprocessing.resource_sharer import DupFd

import pytest
import torch
from torch.utils.data import DataLoader, Sampler

from hma_ft.engine.signals import stop_on_signals
from hma_ft.errors import Interrupted


def test_deferred_it_waits_until_it_is_asked_for() -> None:
    with stop_on_signals() as stop:
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGUSR1)
            assert stop.signum == signal.SIGUSR1
            with pytest.raises(Interrupted, match="signal 10"), stop.at_once():
                raise AssertionError("one that came before is heard at once")
        with pytest.raises(Interrupted):
            stop.leave_if_asked()


def test_a_second_ctrl_c_does_not_wait_and_another_signal_does() -> None:
    with stop_on_signals() as stop, stop.deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


class Dying:
    """Hit by a signal in its destructor, where an exception would be lost."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def die_and_wait() -> None:
    Dying()
    for _ in range(500):
        time.sleep(0.01)


def test_in_a_destructor_it_is_not_lost() -> None:
    with stop_on_signals(), pytest.raises(Interrupted):
        die_and_wait()


class Signalling(Sampler[int]):
    """Asked for its order while the loader starts its processes."""

    def __iter__(self) -> Iterator[int]:
        os.kill(os.getpid(), signal.SIGTERM)
        return iter(range(10_000))


def read_slowly(loader: DataLoader[int]) -> None:
    for _ in loader:
        time.sleep(0.001)


def interrupted_in(loader: DataLoader[int]) -> list[str]:
    """The functions that the signal broke off, the innermost last."""
    with stop_on_signals(), pytest.raises(Interrupted) as caught:
        read_slowly(loader)
    return [frame.name for frame in caught.traceback]


def test_while_loader_processes_start_it_waits() -> None:
    broken_off = interrupted_in(DataLoader(range(10_000), sampler=Signalling(), num_workers=1))  # type: ignore[arg-type]
    assert "__init__" not in broken_off and "read_slowly" in broken_off


def test_while_a_batch_is_taken_over_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection to a loader process isn't broken off."""
    detach, asked = DupFd.detach, []

    def signalled(fd: DupFd) -> int:
        if not asked:
            asked.append(fd)
            os.kill(os.getpid(), signal.SIGTERM)
        return detach(fd)

    monkeypatch.setattr(DupFd, "detach", signalled)
    broken_off = interrupted_in(DataLoader(torch.arange(10_000), num_workers=1))  # type: ignore[arg-type]
    assert asked and "rebuild_storage_fd" not in broken_off
