"""The process that feeds MLflow while a run trains: `python -m hma_ft.mlflow_sync.worker`, started by MlflowLogger.

A process of its own, since a server that hangs, a slow import and MLflow's threads must not touch training. It reads
JSON lines: first {"directory", "tracking", "parent", "folder", "log"}, then {"rows": n} at each push and {"rows": null}
at the end. It writes {"pid": its process id} and {"busy": seconds} before what may take that long, {"probing": true}
before a server has shown that it is there, {"run": id, "whole": bool} after a push, {"error": text} if it failed.
The end of its input, also by the death of the trainer, ends it.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from hma_ft.config.schema import TrackingConfig
from hma_ft.mlflow_sync.sync import MlflowSync, short
from hma_ft.mlflow_sync.system_metrics import SystemMetrics


def main() -> None:
    """Serve the trainer that started this process."""
    ignore_signals()
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    serve_trainer(0, answers, forked=False)


def ignore_signals() -> None:
    """Signals to the whole session are meant for the trainer, which then ends this process."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)


def serve_trainer(requests: int, answers: int, *, forked: bool) -> NoReturn:
    """Serve one trainer through two file descriptors to its end, then end this process.

    A worker that the trainer did not start itself goes to its folder, and prints where the trainer wants it.
    """
    # unbuffered: what a buffer has taken in, `_latest` would not see
    lines = os.fdopen(requests, "rb", buffering=0, closefd=False)
    order = json.loads(lines.readline() or b"null")
    if order is not None:
        if forked:
            os.chdir(order["folder"])
            log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(log, 1)
            os.dup2(log, 2)

        def answer(**message: Any) -> None:
            with suppress(OSError):  # the trainer is gone; what it asked for is still done
                os.write(answers, json.dumps(message).encode() + b"\n")

        answer(pid=os.getpid())
        _serve(order, requests, answer)
    os._exit(0)  # threads of MLflow may hang on a server that does


def _serve(order: dict[str, Any], requests: int, answer: Callable[..., None]) -> None:
    """Answers every line of `requests`; those that wait together are answered as one."""
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


def _latest(requests: int) -> Iterator[int | None]:
    """The newest of the requests that wait."""
    waiting = b""
    while chunk := os.read(requests, 65536):
        *lines, waiting = (waiting + chunk).split(b"\n")
        if lines:
            counts = [json.loads(line)["rows"] for line in lines]
            yield None if None in counts else counts[-1]


if __name__ == "__main__":
    main()
