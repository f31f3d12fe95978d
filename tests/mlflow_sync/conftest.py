"""Both kinds of workers: the trainer's own, and one that a sweep's server forks."""

import threading
from collections.abc import Iterator

import pytest

from hma_ft.launch.mlflow_workers import MlflowWorkers
from hma_ft.mlflow_sync.worker_process import SERVER_VARIABLE


@pytest.fixture(scope="session")
def workers() -> Iterator[MlflowWorkers]:
    """What a supervisor has while its trials run; asked by a thread here."""
    found, done = MlflowWorkers(), threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            found.start_if_asked()

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    done.set()
    thread.join()
    found.close()


@pytest.fixture(params=["own", "forked"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which kind MlflowLogger takes."""
    if request.param == "forked":
        server = request.getfixturevalue("workers")
        monkeypatch.setenv(SERVER_VARIABLE, server.settings[SERVER_VARIABLE])
    return str(request.param)
