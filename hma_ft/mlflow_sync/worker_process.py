"""The worker at the other end: a process of the trainer's own, or one forked from the server of a sweep.

MLflow takes seconds of processor time to import. The trials of a sweep on one machine share that: its supervisor keeps
a server that forks a worker for each trial (`hma_ft/mlflow_sync/worker_server.py`).
"""

import os
import select
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import IO

SERVER_VARIABLE = "HMA_MLFLOW_WORKERS"  # the socket of the server
END_SECONDS = 2.0  # that a worker with nothing left to do has to end
_PACKAGES = Path(__file__).resolve().parents[2]


class Worker(ABC):
    """A process that takes lines and answers with lines."""

    @abstractmethod
    def fileno(self) -> int:
        """What to wait on for an answer."""

    @abstractmethod
    def send(self, line: bytes) -> None:
        """Raises BlockingIOError where the worker has too much to read, another OSError where it is gone."""

    @abstractmethod
    def ended(self) -> bool:
        """Whether the process is gone."""

    @abstractmethod
    def end(self, pid: int | None, *, kill: bool) -> None:
        """Wait for its end, or kill it; `pid` is what it said of itself."""

    def answer(self, seconds: float) -> bytes:
        """What it wrote within that time; empty where that is nothing, or its end."""
        ready, _, _ = select.select([self], [], [], seconds)
        try:
            return os.read(self.fileno(), 65536) if ready else b""
        except ConnectionResetError:  # a worker that was killed before it had read everything
            return b""


class OwnWorker(Worker):
    """A new interpreter."""

    def __init__(self, log: Path) -> None:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_PACKAGES), environment.get("PYTHONPATH")]))
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hma_ft.mlflow_sync.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the trainer
            )
        for pipe in (self._stdin, self._stdout):
            os.set_blocking(pipe.fileno(), False)

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def fileno(self) -> int:
        return self._stdout.fileno()

    def send(self, line: bytes) -> None:
        os.write(self._stdin.fileno(), line)

    def ended(self) -> bool:
        return self._process.poll() is not None

    def end(self, pid: int | None, *, kill: bool) -> None:
        try:
            self._process.wait(0.0 if kill else END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stdin.close()
        self._stdout.close()


class ForkedWorker(Worker):
    """A process that the server of a sweep forks when it is asked to."""

    def __init__(self, server: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(server)
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, line: bytes) -> None:
        self._socket.send(line)

    def ended(self) -> bool:
        try:
            return self._socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def end(self, pid: int | None, *, kill: bool) -> None:
        gone = not kill and self._at_end(END_SECONDS)
        if not gone and pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._socket.close()

    def _at_end(self, seconds: float) -> bool:
        ready, _, _ = select.select([self], [], [], seconds)
        return bool(ready) and self.ended()


def start_worker(log: Path) -> Worker:
    """A worker of the sweep's server if there is one, else one of its own. Raises OSError."""
    server = os.environ.get(SERVER_VARIABLE)
    if server:
        with suppress(OSError):  # the server is gone
            return ForkedWorker(server)
    return OwnWorker(log)
