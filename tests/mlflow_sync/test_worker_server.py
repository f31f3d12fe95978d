"""Workers of a sweep's server: whose they are, where they print, and what happens where one or the server dies."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hma_ft.config.schema import TrackingConfig
from hma_ft.launch.mlflow_workers import MlflowWorkers
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.mlflow_sync.worker_process import SERVER_VARIABLE, ForkedWorker
from hma_ft.rundir.record import RunRecord
from tests.waiting import until

TRACKING = TrackingConfig(experiment="hma-dtd")
TRAINER = """
import sys, time, yaml
from pathlib import Path
from tests.mlflow_sync.test_worker_server import TRACKING, MlflowLogger, RunRecord, worker_of
directory = Path(sys.argv[1])
config = yaml.safe_load((directory / "config.yaml").read_text())
record = RunRecord.open(directory, config=config, fingerprint="0123456789abcdef" * 4)
print(worker_of(MlflowLogger(record, TRACKING)).pid, flush=True)
time.sleep(600)
"""


def worker_of(logger: MlflowLogger) -> psutil.Process:
    """The process that feeds MLflow, once it has said who it is."""

    def known() -> bool:
        logger.push(rows=logger.record.row_count)
        return logger._pid is not None

    until(known)
    return psutil.Process(logger._pid)


@pytest.mark.parametrize("kind", ["forked"], indirect=True)
def test_two_trainers_share_the_imports_and_nothing_else(
    kind: str, tmp_path: Path, config: dict, workers: MlflowWorkers
) -> None:
    records = [RunRecord.open(tmp_path / f"runs/dtd/{name}", config=config, fingerprint=name * 64) for name in "ab"]
    loggers = [MlflowLogger(record, TRACKING) for record in records]
    first, second = (worker_of(logger) for logger in loggers)
    assert first.parent() == second.parent() and first.parent().ppid() == os.getpid()
    assert len({os.getsid(process.pid) for process in (first, second, first.parent())}) == 3
    assert [os.readlink(f"/proc/{first.pid}/fd/{descriptor}") for descriptor in (1, 2)] == [
        str(records[0].path("mlflow.log"))
    ] * 2
    first.kill()
    until(lambda: not first.is_running())
    for record, logger in zip(records, loggers, strict=True):
        record.log_metrics(1, {"train/loss": 1.0})
        record.update_status(state="finished", step=1)
        assert logger.close()  # the first gets another worker
    until(lambda: not second.is_running())


@pytest.mark.parametrize("kind", ["forked"], indirect=True)
def test_a_worker_ends_with_its_trainer(kind: str, directory: Path, record: RunRecord) -> None:
    trainer = subprocess.Popen([sys.executable, "-c", TRAINER, str(directory)], stdout=subprocess.PIPE)
    assert trainer.stdout is not None
    worker = psutil.Process(int(trainer.stdout.readline()))
    trainer.kill()
    trainer.communicate()
    until(lambda: not worker.is_running())


def test_a_worker_that_dies_before_it_has_read_everything_is_at_its_end(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "workers"))
        server.listen()
        worker = ForkedWorker(str(tmp_path / "workers"))
        other, _ = server.accept()
        worker.send(b"{}\n")
        other.close()  # a reset for the trainer, since a line was not read
        assert worker.answer(1.0) == b""
        assert worker.ended()
        worker.end(None, kill=True)


def test_without_the_server_a_trainer_has_its_own(record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = MlflowWorkers()
    path = Path(workers.settings[SERVER_VARIABLE])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700  # who connects has this user's processes write files
    monkeypatch.setenv(SERVER_VARIABLE, str(path))
    workers.close()
    assert not path.parent.exists()
    logger = MlflowLogger(record, TRACKING)
    assert worker_of(logger).ppid() == os.getpid()
    record.log_metrics(1, {"train/loss": 1.0})
    record.update_status(state="finished", step=1)
    assert logger.close()
