"""The run directory: whole after a kill, whatever the moment."""

import csv
import importlib.metadata
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from hma_ft.errors import UserError
from hma_ft.files.atomic import write_atomic
from hma_ft.rundir.environment import DIFF_LIMIT, environment, without_passwords
from hma_ft.rundir.metric_log import read_rows
from hma_ft.rundir.record import RunRecord
from hma_ft.rundir.result import read_result
from hma_ft.rundir.status import State, read_status


def test_start_writes_the_frozen_configuration(record: RunRecord, directory: Path, config: dict) -> None:
    frozen = yaml.safe_load((directory / "config.yaml").read_text())
    assert frozen["method"]["hma"]["real"]["store"] == "ids"  # an enum, by name
    assert frozen["augment"]["crop_scale"] == config["augment"]["crop_scale"]
    status = read_status(directory)
    assert status is not None
    assert (status.state, status.pid, status.starts) == (State.running, os.getpid(), 1)


def test_restart_keeps_start_time_rows_and_mlflow_run(start_record: Callable[[], RunRecord], directory: Path) -> None:
    first = start_record()
    first.log_metrics(10, {"train/loss": 1.5})
    first.update_status(state="interrupted", step=10, message="stopped", mlflow_run="abc")
    second = start_record()
    assert second.status.started == first.status.started
    assert (second.status.state, second.status.starts, second.status.step) == (State.running, 2, 10)
    assert (second.status.mlflow_run, second.status.message) == ("abc", "")
    assert second.row_count == 1


@pytest.mark.parametrize(
    "torn", ['{"step": 20, "time": "2026', '{"step": 20}', "\x00\x00\x00\n", "[1]\n", '{"a": 1}\n']
)
def test_torn_last_line_is_cut_off_when_reopened(
    start_record: Callable[[], RunRecord], directory: Path, torn: str
) -> None:
    start_record().log_metrics(10, {"train/loss": 1.5})
    with open(directory / "metrics.jsonl", "a") as file:
        file.write(torn)
    record = start_record()
    assert record.row_count == 1
    record.log_metrics(20, {"train/loss": 1.0})
    assert [(row["step"], row["train/loss"]) for row in read_rows(directory / "metrics.jsonl")] == [
        (10, 1.5),
        (20, 1.0),
    ]


def test_rewind_drops_later_rows_and_goes_on_behind_the_kept(record: RunRecord) -> None:
    for step in range(5):
        record.log_metrics(step, {"train/loss": float(step)})
    assert record.rewind(3) == 2
    assert record.rewind(7) == 0
    record.log_metrics(3, {"train/loss": 30.0})
    assert [row["train/loss"] for row in record.rows] == [0.0, 1.0, 2.0, 30.0]
    assert record.row_count == 4


def test_values_come_back_exactly_and_not_finite_ones_too(record: RunRecord) -> None:
    record.log_metrics(1, {"a": 0.1 + 0.2, "b": math.nan, "c": -math.inf, "d": np.float32(0.1)})
    row = record.rows[0]
    assert row["a"] == 0.1 + 0.2 and math.isnan(row["b"]) and row["c"] == -math.inf
    assert row["d"] == float(np.float32(0.1))


def test_rows_survive_a_real_kill(tmp_path: Path) -> None:
    """Every row that was logged before SIGKILL is there."""
    code = (
        "import os, signal, sys; from pathlib import Path; from hma_ft.rundir.metric_log import MetricLog\n"
        "log = MetricLog(Path(sys.argv[1]))\n"
        "for step in range(1000): log.append(step, {'x': step / 7})\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "metrics.jsonl"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == -signal.SIGKILL
    assert [row["x"] for row in read_rows(path)] == [step / 7 for step in range(1000)]


def test_status_is_whole_at_any_moment_of_a_kill(tmp_path: Path, directory: Path, record: RunRecord) -> None:
    """A process that rewrites the status without end is killed; what is left can be read."""
    code = (
        "import sys; from pathlib import Path; from hma_ft.rundir.status import Status, write_status\n"
        "print(flush=True)\n"
        "while True: write_status(Path(sys.argv[1]), Status(step=5, message='x' * 5000))"
    )
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, str(directory)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.wait()
        status = read_status(directory)
        assert status is not None and status.message in ("", "x" * 5000)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fails(file: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomic(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_result_has_null_for_what_is_not_finite(record: RunRecord, directory: Path) -> None:
    record.write_result({"test/top1": 0.5, "test/nll": math.inf, "best/step": 30})
    assert read_result(directory) == {"test/top1": 0.5, "test/nll": None, "best/step": 30}
    (directory / "result.json").write_text('{"test/to')
    with pytest.raises(UserError, match="damaged"):
        read_result(directory)


def test_predictions_and_per_class(record: RunRecord, directory: Path) -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6]])
    record.write_predictions(np.array([3, 1]), np.array([0, 1]), probabilities, ["cat, black", "Köter"])
    with np.load(directory / "predictions.npz", allow_pickle=False) as stored:
        assert stored["probabilities"].dtype == np.float32
        assert stored["ids"].tolist() == [3, 1]
        assert stored["class_names"].tolist() == ["cat, black", "Köter"]
    record.write_per_class([("cat, black", 3, 1), ("Köter", 0, 0)])
    with open(directory / "per_class.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["class", "images", "correct", "accuracy"],
        ["cat, black", "3", "1", "0.333333"],
        ["Köter", "0", "0", ""],
    ]
    with pytest.raises(ValueError, match="length"):
        record.write_predictions(np.array([3]), np.array([0, 1]), probabilities, ["a", "b"])


def test_packages_are_those_of_the_environment_whatever_was_imported() -> None:
    """setuptools puts packages of its own, in other versions, at the end of the path."""
    code = "import {}; from hma_ft.rundir.environment import packages; print(packages())"
    plain, after = (
        subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=True).stdout
        for name in ("json", "setuptools")
    )
    assert after == plain
    assert f"'packaging': '{importlib.metadata.version('packaging')}'" in plain


def test_environment_says_what_a_result_depends_on(repository: Path) -> None:
    env = environment("python run.py tracking.uri=https://me:secret@host/x")
    assert env["command"] == "python run.py tracking.uri=https://***@host/x"
    assert env["cpus"] == len(os.sched_getaffinity(0))
    assert env["packages"]["torch"] and env["torch_threads"] >= 1
    head = subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True)
    assert env["git"]["commit"] == (head.stdout.strip() if head.returncode == 0 else None)
    assert len(env["git"]["diff"]) < DIFF_LIMIT + 100
    assert json.loads(json.dumps(env)) == env


def test_passwords_are_left_out() -> None:
    assert without_passwords("sqlite:////a/b.db http://h/x@y") == "sqlite:////a/b.db http://h/x@y"
