"""Signals that ask a run to stop: the current step is finished, a checkpoint written, then the run leaves."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from accelerate import Accelerator

from hma_ft.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
AGAIN_SECONDS = 0.05
# torch's: starting the loader's processes, which would be orphaned, and taking a batch over from one of them, which
# would complain of a broken connection. Both are short.
UNSAFE = ("_MultiProcessingDataLoaderIter.__init__", "rebuild_storage_fd")


class StopRequest:
    """Which signal arrived, if any.

    Outside `deferred` a signal raises Interrupted where the program stands; inside it waits until it is asked for.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._deferred = False
        self._owner = os.getpid()

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, signals only set `signum`."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, signals raise Interrupted again, also one that came before."""
        before, self._deferred = self._deferred, False
        try:
            self.leave_if_asked()
            yield
        finally:
            self._deferred = before

    def agreed(self, accelerator: Accelerator) -> bool:
        """Whether any process was asked to stop; to be called by all processes at the same step."""
        if accelerator.num_processes > 1:
            asked = torch.tensor([self.signum], device=accelerator.device)
            self.signum = int(accelerator.gather(asked).max())
        return self.signum != 0

    def leave_if_asked(self) -> None:
        """Raise Interrupted if a signal came."""
        if self.signum:
            raise Interrupted(self.signum)

    def receive(self, signum: int, frame: FrameType | None) -> None:
        """The handler. Loader processes inherit it, and leave when their parent does."""
        if os.getpid() != self._owner:
            return
        if _unsafe(frame):  # the signal comes again a little later
            threading.Timer(AGAIN_SECONDS, os.kill, (self._owner, signum)).start()
            return
        again, self.signum = self.signum != 0, signum
        if not self._deferred or (again and signum == signal.SIGINT):  # a second Ctrl-C doesn't wait for the step
            raise Interrupted(signum)


def _unsafe(frame: FrameType | None) -> bool:
    """Whether an exception here would be lost, or break off what is agreed with the loader's processes."""
    while frame is not None:
        if frame.f_code.co_qualname in UNSAFE or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Inside, the signals reach the request instead of ending the process."""
    request = StopRequest()
    before = {number: signal.signal(number, request.receive) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
