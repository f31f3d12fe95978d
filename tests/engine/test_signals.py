"""When a signal is heard: at once, at the next point that asks, and never where it would be lost or do harm."""

import os
import signal
import time
from collections.abc import Iterable, Iterator

import pytest
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


def count_batches(loader: Iterable[object], seen: list[object]) -> None:
    for batch in loader:
        seen.append(batch)
        time.sleep(0.001)


def test_while_loader_processes_start_it_waits() -> None:
    seen: list[object] = []
    with stop_on_signals(), pytest.raises(Interrupted):
        count_batches(DataLoader(range(10_000), sampler=Signalling(), num_workers=1), seen)  # type: ignore[arg-type]
    assert 0 < len(seen) < 10_000
