"""A run directory with rows, and a real MLflow server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from hma_ft.config.schema import Config
from hma_ft.tracking.mlflow_store import connect
from hma_ft.tracking.record import RunRecord

FINGERPRINT = "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing else; making one takes seconds."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(fresh_database: Path, directory: Path) -> Path:
    """The default database of the run's folder, made already."""
    path = directory.parents[1] / "mlflow.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(fresh_database, path)
    return path


@pytest.fixture(scope="session")
def config() -> dict:
    """The default configuration, resolved."""
    values = asdict(Config())
    values["tracking"]["experiment"] = "hma-dtd"
    return values


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where a run's record goes; the runs folder is two levels up."""
    return tmp_path / "runs" / "dtd" / f"hma-vit_b32-seed0-{FINGERPRINT[:8]}"


@pytest.fixture
def start_record(directory: Path, config: dict) -> Iterator[Callable[[], RunRecord]]:
    """Opens the run's record, as a start or a restart does."""
    opened: list[RunRecord] = []

    def start() -> RunRecord:
        opened.append(RunRecord.open(directory, config=config, fingerprint=FINGERPRINT, max_steps=100))
        return opened[-1]

    yield start
    for record in opened:
        record.close()


@pytest.fixture
def record(start_record: Callable[[], RunRecord]) -> RunRecord:
    """A run that has just begun."""
    return start_record()


class Server:
    """`mlflow server` on a free port; its whole process group is stopped, resumed or killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        if self.process is not None:
            return
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--artifacts-destination", "artifacts"]
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port), "--workers", "1", *store]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError((self.folder / "server.log").read_text()[-2000:])

    def signal(self, signum: signal.Signals) -> None:
        """To all its processes."""
        assert self.process is not None
        os.killpg(self.process.pid, signum)

    def stop(self) -> None:
        """As a crash would."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def server_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests, since it takes seconds to start."""
    server = Server(tmp_path_factory.mktemp("mlflow_server"))
    yield server
    server.stop()


@pytest.fixture
def server(server_of_session: Server) -> Server:
    """The server, running."""
    server_of_session.start()
    return server_of_session
