"""A run directory with rows, and an MLflow database."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from hma_ft.config.schema import Config
from hma_ft.mlflow_sync.store import connect
from hma_ft.rundir.record import RunRecord

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
