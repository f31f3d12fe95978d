"""Writing checkpoints while training goes on."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

WAITING = 2  # writes that may be queued: best weights, and the checkpoint that names them


class CheckpointWriter:
    """Carries out writes in their order: at once, or in a thread while the caller goes on.

    In the background a write gets a copy of the tensors, as the next steps change them. What a write raises comes up
    in the caller at the next `submit`, `poll` or `wait`; the writes after it are left out.
    """

    def __init__(self, *, in_background: bool) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint") if in_background else None
        self._queued: deque[Future[None]] = deque()
        self._failed = False

    def held(self, content: dict[str, Any]) -> dict[str, Any]:
        """`content` as it is now, for a write that comes later; from a GPU in pinned memory of the host."""
        if self._pool is None:
            return content
        copied = _copy(content)
        if torch.cuda.is_available():
            torch.cuda.current_stream().synchronize()  # the copies have arrived
        return copied

    def submit(self, write: Callable[[], None]) -> None:
        """Carry out a write, or queue it. Waits where too many are queued: each holds a copy."""
        if self._pool is None:
            write()
            return
        self.poll()
        while len(self._queued) >= WAITING:
            self._queued.popleft().result()
        self._queued.append(self._pool.submit(self._unless_failed, write))

    def poll(self) -> None:
        """Raise what a write has raised so far."""
        while self._queued and self._queued[0].done():
            self._queued.popleft().result()

    def wait(self) -> None:
        """Return once everything is written."""
        while self._queued:
            self._queued.popleft().result()

    def _unless_failed(self, write: Callable[[], None]) -> None:
        if self._failed:  # this one may name what could not be written
            return
        self._failed = True
        write()
        self._failed = False


def _copy(value: Any) -> Any:
    """Nested dicts, lists and tuples with each tensor copied into memory of the host."""
    if isinstance(value, Tensor):
        if value.is_cuda:
            return torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copy(part) for part in value)
    return value
