"""The process that feeds MLflow while a run trains: `python -m hma_ft.mlflow_sync.worker`, started by MlflowLogger.

A process of its own, since a server that hangs, a slow import and MLflow's threads must not touch training. It reads
JSON lines: first {"directory", "tracking", "parent"}, then {"rows": n} at each push and {"rows": null} at the end. It
writes {"busy": seconds} before what may take that long, {"probing": true} before a server has shown that it is there,
{"run": id, "whole": bool} after a push, {"error": text} if it failed.
The end of its input, also by the death of the trainer, ends it.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Any

from hma_ft.config.schema import TrackingConfig
from hma_ft.mlflow_sync.sync import MlflowSync, short
from hma_ft.mlflow_sync.system_metrics import SystemMetrics


def main() -> None:
    """Serves one trainer."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)  # they are meant for the trainer, which then ends this process
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what libraries print must not mix with the answers

    def answer(**message: Any) -> None:
        with suppress(BrokenPipeError):  # the trainer is gone; what it asked for is still done
            answers.write(json.dumps(message).encode() + b"\n")

    # unbuffered: what a buffer has taken in, `_latest` would not see
    serve(os.fdopen(0, "rb", buffering=0), answer)
    os._exit(0)  # threads of MLflow may hang on a server that does


def serve(requests: RawIOBase, answer: Callable[..., None]) -> None:
    """Answers every line of `requests`; those that wait together are answered as one."""
    order = json.loads(requests.readline())
    tracking = TrackingConfig(**order["tracking"])
    answer(busy=120)  # a cold import from a network disk
    import mlflow.entities  # noqa: F401

    sync = MlflowSync(
        Path(order["directory"]),
        tracking,
        parent=order["parent"],
        busy=lambda seconds: answer(busy=seconds),
        probing=lambda: answer(probing=True),
    )
    system = SystemMetrics(sync.uri) if tracking.system_metrics else None
    for rows in _latest(requests):
        if rows is None and system is not None:
            system.stop()
        try:
            run_id = sync.update(rows=rows)
            if system is not None and rows is not None:
                system.ensure_started(run_id)
            answer(run=run_id, whole=rows is None)
        except Exception as error:
            answer(error=short(error))
        if rows is None:
            return


def _latest(requests: RawIOBase) -> Iterator[int | None]:
    """The newest of the requests that wait."""
    waiting = b""
    while chunk := os.read(requests.fileno(), 65536):
        *lines, waiting = (waiting + chunk).split(b"\n")
        if lines:
            counts = [json.loads(line)["rows"] for line in lines]
            yield None if None in counts else counts[-1]


if __name__ == "__main__":
    main()
