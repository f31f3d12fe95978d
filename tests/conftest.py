"""Fixtures that every folder of tests uses."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import processes
from tests.ports import free_port

pytest_plugins = ["tests.record_fixtures"]
SLOW = {"slow", "faults", "distributed", "mlflow_server", "browser"}
REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of slow tests come first, so that no worker ends alone; before all the one that mostly waits for Slurm.

    Another file of Slurm's comes when that is long done: of two clusters that started together, jobs stood still.
    """
    marks = defaultdict[Path, set[str]](set)
    for item in items:
        marks[item.path] |= {mark.name for mark in item.iter_markers()}
    on_slurm = [path for path, names in marks.items() if "slurm" in names]
    rank = {path: 1 if names & SLOW else 3 for path, names in marks.items()}
    rank |= dict.fromkeys(on_slurm[:1], 0) | dict.fromkeys(on_slurm[1:], 2)
    items.sort(key=lambda item: rank[item.path])


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds run.py and conf/."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with parity numbers, real images and pretrained weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("HMA_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "parity").is_dir():
        pytest.skip(f"needs the shared folder with parity/ and data/ (set HMA_SHARED; looked in {folder})")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _accelerate_afresh() -> None:
    """Accelerate keeps the precision of the process's first accelerator; a file of tests doesn't inherit another's."""
    if "accelerate.state" in sys.modules:
        sys.modules["accelerate.state"].AcceleratorState._reset_state(reset_partial_state=True)


RunPy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_py(repository: Path, tmp_path: Path) -> RunPy:
    """`run_py("method=head", ...)` runs run.py in tmp_path, where its records go, on one thread.

    With `cold=True` in an interpreter of its own, as a user starts it.
    """

    def run(*arguments: str, timeout: float = 600, cold: bool = False) -> subprocess.CompletedProcess[str]:
        if not cold:
            return processes.run(processes.RUN_PY, *arguments, folder=tmp_path, timeout=timeout)
        return subprocess.run(
            [sys.executable, processes.RUN_PY, *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Settings of a run on the digits that a CPU does in seconds."""
    return [
        "model=vit_micro",
        "dataset=digits",
        "augment=digits",
        "optimizer=adamw",
        "optimizer.lr=0.002",
        "tracking=off",
        "trainer.device=cpu",
        "trainer.num_workers=0",
        "trainer.batch_size=16",
        "trainer.log_every=5",
        "trainer.eval_every=20",
    ]


class Server:
    """`mlflow server` on a free port; its whole process group is stopped, resumed or killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
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
        end = time.monotonic() + 180  # of a busy machine
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
