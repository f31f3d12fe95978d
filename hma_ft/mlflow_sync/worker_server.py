"""Forks a worker for each trainer that connects: `python -m hma_ft.mlflow_sync.worker_server DESCRIPTOR`.

A sweep's supervisor starts it, with the descriptor of a listening socket, so that its trials import MLflow once, not
each. It ends with its input, which the supervisor holds; workers that are at work end with their trainers.
"""

import os
import select
import signal
import socket
import sys
from typing import NoReturn

from hma_ft.mlflow_sync.worker import ignore_signals, serve_trainer


def main(descriptor: int) -> None:
    """Serve until the input ends."""
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401

    ignore_signals()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker
    with socket.socket(fileno=descriptor) as server:
        while True:
            ready, _, _ = select.select([server.fileno(), 0], [], [])
            if 0 in ready:
                return
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    _become_worker(server, connection)


def _become_worker(server: socket.socket, connection: socket.socket) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    server.close()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    serve_trainer(connection.fileno(), connection.fileno(), forked=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
