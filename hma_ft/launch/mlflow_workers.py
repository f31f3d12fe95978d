"""The socket at which the trials of a supervisor ask for MLflow workers, and the server behind it.

The server starts when the first trial asks: a sweep without tracking has none.
"""

import select
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

from hma_ft.launch.local import environment_with_code
from hma_ft.mlflow_sync.worker_process import SERVER_VARIABLE


class MlflowWorkers:
    """Close it when no trial is left."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._folder = Path(mkdtemp(prefix="hma-"))  # nobody else may enter it
        self._socket = socket.socket(socket.AF_UNIX)
        path = self._folder / "mlflow"
        try:
            self._socket.bind(str(path))
            self._socket.listen(64)
        except OSError:  # a path that is too long for a socket, or a disk that takes none: each trial has its own
            self.settings: dict[str, str] = {}
        else:
            self.settings = {SERVER_VARIABLE: str(path)}  # of the environment of trials

    def start_if_asked(self) -> None:
        """Start the server if a trial waits for it; to be called again and again."""
        if not self.settings or (self._server is not None and self._server.poll() is None):
            return
        asked, _, _ = select.select([self._socket], [], [], 0.0)
        if asked:
            descriptor = self._socket.fileno()
            self._server = subprocess.Popen(
                [sys.executable, "-m", "hma_ft.mlflow_sync.worker_server", str(descriptor)],
                pass_fds=[descriptor],
                stdin=subprocess.PIPE,
                env=environment_with_code(),
            )

    def close(self) -> None:
        """End the server; workers end by themselves."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)
