"""Outages of a real MLflow server: training does not wait, and afterwards MLflow has the record's points."""

import logging
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hma_ft.config.schema import Config, TrackingConfig
from hma_ft.errors import UserError
from hma_ft.mlflow_sync.artifacts import MODEL
from hma_ft.mlflow_sync.content import points, read_content, result_points
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.mlflow_sync.store import connect
from hma_ft.rundir.record import RunRecord
from hma_ft.tasks.sync import sync as sync_task

pytestmark = pytest.mark.mlflow_server
Server = Any  # of conftest.py


def assert_same_points(server: Server, experiment: str, directory: Path) -> str:
    """One run with every point of the record once; returns its state."""
    client: MlflowClient = connect(server.uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    (run,) = client.search_runs([found.experiment_id])
    content = read_content(directory)
    wanted = set(points(content.rows)) | set(result_points(content))
    at_server = [(key, m.step) for key in run.data.metrics for m in client.get_metric_history(run.info.run_id, key)]
    assert sorted(at_server) == sorted(wanted)
    return run.info.status


def train(record: RunRecord, sink: MlflowLogger, steps: range) -> float:
    """Rows and pushes as a training makes them; the longest that a push took, in seconds."""
    longest = 0.0
    for step in steps:
        record.log_metrics(step, {"train/loss": 1 / step, "val/top1": step / 100})
        began = time.monotonic()
        sink.push(rows=sink.record.row_count)
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.02)
    return longest


def wait_until(condition: Any, sink: MlflowLogger, seconds: float = 30.0) -> None:
    """Pushes until it is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        sink.push(rows=sink.record.row_count)
        time.sleep(0.1)


def finish(record: RunRecord, sink: MlflowLogger, step: int) -> tuple[bool, float]:
    """Ends the run; whether MLflow has everything, and how long it took to know."""
    record.write_result({"test/top1": 0.5})
    record.update_status(state="finished", step=step)
    began = time.monotonic()
    return sink.close(), time.monotonic() - began


def messages(caplog: pytest.LogCaptureFixture, text: str) -> int:
    return sum(text in r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)


def start(directory: Path, config: dict, tracking: TrackingConfig) -> tuple[RunRecord, MlflowLogger]:
    """A run that is tracked so."""
    record = RunRecord.open(
        directory, config=config | {"tracking": asdict(tracking)}, fingerprint="0123456789abcdef" * 4
    )
    return record, MlflowLogger(record, tracking)


def test_server_that_comes_late_dies_comes_back_and_dies_for_good(
    directory: Path, config: dict, server_of_session: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server = server_of_session
    server.stop()
    record, sink = start(directory, config, TrackingConfig(experiment="late", uri=server.uri))
    assert train(record, sink, range(1, 20)) < 0.5
    wait_until(lambda: messages(caplog, "connection refused") == 1, sink)
    server.start()
    wait_until(lambda: messages(caplog, "is back") == 1, sink)
    assert train(record, sink, range(20, 40)) < 0.5
    server.stop()
    assert train(record, sink, range(40, 60)) < 0.5
    wait_until(lambda: messages(caplog, "The run goes on") == 2, sink)
    done, seconds = finish(record, sink, 60)
    assert not done and seconds < 4.0
    assert messages(caplog, "The run goes on") == 2 and messages(caplog, "task=sync") == 1
    with pytest.raises(UserError, match="does not answer"):
        sync_task(Config(runs_dir=str(directory.parents[1])))
    server.start()
    assert sync_task(Config(runs_dir=str(directory.parents[1]))) == 0
    assert assert_same_points(server, "late", directory) == "FINISHED"


def test_server_that_hangs_is_not_waited_for_and_the_end_of_the_run_catches_up(
    kind: str, directory: Path, config: dict, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    record, sink = start(
        directory, config, TrackingConfig(experiment=f"hangs_{kind}", uri=server.uri, log_weights=True)
    )
    train(record, sink, range(1, 20))
    wait_until(lambda: record.status.mlflow_run, sink)
    server.signal(signal.SIGSTOP)
    assert train(record, sink, range(20, 40)) < 0.5
    wait_until(lambda: messages(caplog, "no answer in time") == 1, sink)
    server.signal(signal.SIGCONT)  # which may carry out requests that were given up
    (directory / MODEL / "data").mkdir(parents=True)
    (directory / MODEL / "data" / "model.safetensors").write_bytes(b"0" * 3_000_000)
    done, _ = finish(record, sink, 40)
    assert done
    assert assert_same_points(server, f"hangs_{kind}", directory) == "FINISHED"
    files = connect(server.uri).list_artifacts(str(record.status.mlflow_run), "model/data")
    assert [(f.path, f.file_size) for f in files] == [("model/data/model.safetensors", 3_000_000)]


def test_server_that_hangs_at_the_very_end_costs_seconds(
    kind: str, directory: Path, config: dict, server: Server
) -> None:
    record, sink = start(directory, config, TrackingConfig(experiment=f"end_{kind}", uri=server.uri))
    train(record, sink, range(1, 10))
    wait_until(lambda: record.status.mlflow_run, sink)
    server.signal(signal.SIGSTOP)
    record.log_metrics(10, {"train/loss": 0.1})
    done, seconds = finish(record, sink, 10)
    server.signal(signal.SIGCONT)
    assert not done and seconds < 4.0
    assert sync_task(Config(run=str(directory))) == 0
    assert assert_same_points(server, f"end_{kind}", directory) == "FINISHED"
