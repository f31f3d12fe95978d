"""MLflow on its default, a SQLite file beside the runs: the same points as the record, each once, in one run."""

import json
import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from hma_ft.config.schema import Config, TrackingConfig
from hma_ft.files.lock import RunLock
from hma_ft.mlflow_sync.artifacts import MODEL
from hma_ft.mlflow_sync.content import points, read_content, result_points
from hma_ft.mlflow_sync.logger import PARENT_VARIABLE, MlflowLogger
from hma_ft.mlflow_sync.state import MlflowState
from hma_ft.mlflow_sync.store import connect, tracking_uri, ui_command
from hma_ft.mlflow_sync.sync import sync
from hma_ft.rundir.record import RunRecord
from hma_ft.tasks.sync import sync as sync_task

TRACKING = TrackingConfig(experiment="hma-dtd")
pytestmark = pytest.mark.usefixtures("database")


def client_of(directory: Path, tracking: TrackingConfig = TRACKING) -> MlflowClient:
    return connect(tracking_uri(tracking, directory))


def only_run(client: MlflowClient) -> Run:
    """The one active run of the experiment."""
    experiment = client.get_experiment_by_name("hma-dtd")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def assert_same_points(client: MlflowClient, directory: Path) -> Run:
    """Every point of the record is at the server once, and no other."""
    run = only_run(client)
    content = read_content(directory)
    expected = points(content.rows)
    if content.status.state == "finished":
        expected |= result_points(content)
    at_server = [
        (m.key, m.step, "nan" if math.isnan(m.value) else m.value)
        for key in run.data.metrics
        for m in client.get_metric_history(run.info.run_id, key)
    ]
    wanted = [(p.key, p.step, "nan" if math.isnan(p.value) else p.value) for p in expected.values()]
    assert sorted(at_server, key=str) == sorted(wanted, key=str)
    return run


def log(record: RunRecord, steps: range, scale: float = 1.0) -> None:
    """Rows of a training, val every tenth step."""
    for step in steps:
        record.log_metrics(step, {"train/loss": scale / step, "train/lr": 0.01})
        if step % 10 == 0:
            record.log_metrics(step, {"val/top1": step / 100, "val/nll": 1 / step})


def finish(record: RunRecord, step: int) -> None:
    record.write_result({"test/top1": 0.5, "val/top1": 0.6, "inference": "alone"})
    record.write_per_class([("a", 2, 1)])
    record.update_status(state="finished", step=step)


@pytest.mark.parametrize(("state", "status"), [("failed", "FAILED"), ("interrupted", "KILLED"), ("running", "KILLED")])
def test_sync_tells_how_the_run_ended(record: RunRecord, directory: Path, state: str, status: str) -> None:
    log(record, range(1, 4))
    record.update_status(state=state, step=3, message="loss of step 3 is nan")
    sync(directory, TRACKING)
    run = assert_same_points(client_of(directory), directory)
    assert run.info.status == status
    assert run.data.tags["message"] == "loss of step 3 is nan"


def test_finished_run_is_all_there_and_a_second_sync_changes_nothing(record: RunRecord, directory: Path) -> None:
    log(record, range(1, 1201))  # more than one batch
    record.log_metrics(1201, {"train/loss": math.nan, "val/nll": math.inf})
    record.write_data({"train": 1880, "digest": "d" * 64})
    (directory / MODEL).mkdir()
    (directory / MODEL / "MLmodel").write_bytes(b"model")
    finish(record, 1201)
    run_id = sync(directory, TRACKING)
    client = client_of(directory)
    run = assert_same_points(client, directory)
    assert run.info.status == "FINISHED" and run.info.run_name == directory.name
    assert run.data.params["optimizer.lr"] == "0.01" and run.data.params["model.weights"] == "null"
    assert run.data.tags["fingerprint"] == record.status.fingerprint
    assert {"host", "git.dirty", "method", "dataset"} <= set(run.data.tags)
    assert "To repeat it" in run.data.tags["mlflow.note.content"]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("dtd", "d" * 12)
    names = {item.path for item in client.list_artifacts(run_id)}
    assert names == {"config.yaml", "env.json", "data.json", "result.json", "per_class.csv"}
    assert run.info.artifact_uri.startswith((directory.parents[1] / "mlartifacts").as_uri())

    assert sync(directory, TRACKING) == run_id
    again = assert_same_points(client, directory)
    assert again.info.end_time == run.info.end_time and again.data.tags == run.data.tags

    sync(directory, TrackingConfig(experiment="hma-dtd", log_weights=True))
    (weights,) = client.list_artifacts(run_id, "model")
    assert weights.path == "model/MLmodel"


def test_lost_bookkeeping_doubles_nothing(record: RunRecord, directory: Path) -> None:
    """Killed after a batch was stored, and before anything was noted about it; or before the run's id was."""
    log(record, range(1, 21))
    run_id = sync(directory, TRACKING)
    client = client_of(directory)
    log(record, range(21, 31))
    client.log_batch(run_id, metrics=[Metric("train/loss", 1 / 25, 123, 25), Metric("train/loss", 1 / 26, 123, 26)])
    state = MlflowState.read(directory)
    state.run_id, state.writer, state.artifacts = None, "", {}
    state.write(directory)
    assert sync(directory, TRACKING) == run_id
    assert_same_points(client, directory)


def test_request_that_was_carried_out_late_leaves_one_run(record: RunRecord, directory: Path) -> None:
    log(record, range(1, 4))
    run_id = sync(directory, TRACKING)
    client = client_of(directory)
    late = client.create_run(only_run(client).info.experiment_id, tags={"hma.uid": MlflowState.read(directory).uid})
    state = MlflowState.read(directory)
    state.writer = "another process"
    state.write(directory)
    assert sync(directory, TRACKING) == run_id != late.info.run_id
    assert_same_points(client, directory)


@pytest.mark.parametrize("repeated", [1.0, 2.0], ids=["same values", "other values"])
def test_rewound_record_is_followed(record: RunRecord, directory: Path, repeated: float) -> None:
    """Steps that are computed again have other timings; MLflow then holds the record's, once."""
    log(record, range(1, 31))
    first = sync(directory, TRACKING)
    client = client_of(directory)
    client.set_tag(first, "mlflow.note.content", "what the user wrote")
    client.set_tag(first, "reviewed", "yes")
    record.rewind(22)  # 20 train rows, 2 val rows
    log(record, range(21, 41), scale=repeated)
    second = sync(directory, TRACKING)
    run = assert_same_points(client, directory)
    assert (second == first) == (repeated == 1.0)
    assert run.data.tags["mlflow.note.content"] == "what the user wrote" and run.data.tags["reviewed"] == "yes"


def test_doubled_points_at_the_server_are_mended(record: RunRecord, directory: Path) -> None:
    log(record, range(1, 4))
    run_id = sync(directory, TRACKING)
    client = client_of(directory)
    client.log_metric(run_id, "train/loss", 1.0, timestamp=5, step=1)
    client.log_metric(run_id, "my own", 7.0, step=1)
    sync(directory, TRACKING)
    assert_same_points(client, directory)


def test_own_metrics_of_the_user_are_left_alone(record: RunRecord, directory: Path) -> None:
    log(record, range(1, 4))
    run_id = sync(directory, TRACKING)
    client = client_of(directory)
    client.log_metric(run_id, "my own", 7.0, step=1)
    assert sync(directory, TRACKING) == run_id
    assert only_run(client).data.metrics["my own"] == 7.0


def test_sink_sends_at_pushes_and_ends_the_run(
    kind: str, record: RunRecord, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PARENT_VARIABLE, "a" * 32)
    sink = MlflowLogger(record, TRACKING)
    log(record, range(1, 11))
    sink.push(rows=sink.record.row_count)
    log(record, range(11, 21))
    finish(record, 20)
    assert sink.close()
    run = assert_same_points(client_of(directory), directory)
    assert run.info.status == "FINISHED" and run.data.tags["mlflow.parentRunId"] == "a" * 32
    assert record.status.mlflow_run == run.info.run_id
    assert not (directory / "mlflow.log").exists()
    assert "mlflow" not in json.loads((directory / "status.json").read_text())["message"]


TRAIN = """
import os, signal, sys, time
from pathlib import Path
from hma_ft.config.schema import TrackingConfig
from hma_ft.files.lock import RunLock
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.rundir.record import RunRecord
directory, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
RunLock(directory).__enter__()
import yaml
config = yaml.safe_load((directory / "config.yaml").read_text())
record = RunRecord.open(directory, config=config, fingerprint="0123456789abcdef" * 4)
record.rewind(first)
sink = MlflowLogger(record, TrackingConfig(experiment="hma-dtd"))
for step in range(first, last):
    record.log_metrics(step, {"train/loss": 1 / (step + 1), "train/images_per_s": time.time() % 1})
    if step % 5 == 4:
        sink.push(rows=sink.record.row_count)
while not record.status.mlflow_run:
    sink.push(rows=sink.record.row_count)
    time.sleep(0.05)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_trainer_that_continues_has_one_run(kind: str, record: RunRecord, directory: Path) -> None:
    """Killed for real while its worker sends, continued from an earlier row, killed again, then synced."""
    log(record, range(1, 1))
    for first, last in ((0, 40), (30, 70)):
        subprocess.run([sys.executable, "-c", TRAIN, str(directory), str(first), str(last)], check=False)
    sync(directory, TRACKING)
    run = assert_same_points(client_of(directory), directory)
    assert run.info.status == "KILLED"
    assert len(read_content(directory).rows) == 70


FIRST_TOUCH = """
import sys
from pathlib import Path
from hma_ft.config.schema import TrackingConfig
from hma_ft.mlflow_sync.sync import sync
sync(Path(sys.argv[1]), TrackingConfig(experiment="hma-dtd"))
"""


def test_first_touch_by_several_processes(tmp_path: Path, config: dict) -> None:
    """Unlocked, they corrupt the file."""
    directories = [tmp_path / "other runs" / "dtd" / f"run{i}" for i in range(3)]
    for directory in directories:
        record = RunRecord.open(directory, config=config, fingerprint="f" * 64)
        log(record, range(1, 31))
        record.close()
    processes = [
        subprocess.Popen([sys.executable, "-c", FIRST_TOUCH, str(d)], stderr=subprocess.PIPE) for d in directories
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()[-2000:]
    client = client_of(directories[0])
    experiment = client.get_experiment_by_name("hma-dtd")
    assert experiment is not None
    assert len(client.search_runs([experiment.experiment_id])) == 3


def test_task_sync_takes_all_runs_and_leaves_living_ones(
    record: RunRecord, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log(record, range(1, 4))
    runs_dir = str(directory.parents[1])
    with RunLock(directory):
        assert sync_task(Config(runs_dir=runs_dir)) == 0
    assert "running" in capsys.readouterr().out
    assert sync_task(Config(runs_dir=runs_dir)) == 0
    assert capsys.readouterr().out == f"synced   {directory}\n"
    assert_same_points(client_of(directory), directory)


def test_ui_command_opens_the_default_store(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parents[2])
    program, *rest = shlex.split(ui_command(TRACKING, directory))
    assert rest == ["ui", "--backend-store-uri", "sqlite:///runs/mlflow.db"]
    assert shutil.which(program)
    assert ui_command(TrackingConfig(uri="http://me:secret@host:5000"), directory) == "http://***@host:5000"
