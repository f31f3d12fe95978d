"""The run directory: the unit of truth about a run. Everything else (MLflow, analysis) is made from it."""

import csv
import dataclasses
import io
import json
import math
import os
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hma_ft.files.atomic import remove_leftovers, write_atomic
from hma_ft.rundir.environment import environment
from hma_ft.rundir.metric_log import MetricLog, Row, read_rows
from hma_ft.rundir.status import State, Status, now, read_status, write_status

if TYPE_CHECKING:
    import numpy as np


class RunRecord:
    """Writes one run directory. Only rank 0 has one, under a RunLock.

    config.yaml (resolved, frozen), status.json, metrics.jsonl, env.json, data.json, result.json, predictions*.npz,
    per_class.csv; val_predictions.npz, the figures and checkpoints/ are written by others beside these.
    """

    def __init__(self, directory: Path, status: Status) -> None:
        """Use `open`."""
        self.directory = directory
        self._status = status
        self._log = MetricLog(directory / "metrics.jsonl")

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        config: dict[str, Any],
        fingerprint: str,
        command: str | None = None,
        max_steps: int = 0,
        weights_sha256: str | None = None,
    ) -> "RunRecord":
        """Starts the directory, or takes it up again: start time and metrics stay, the state is `running` anew.

        `command` repeats the run (None: this process's command line); `weights_sha256` is that of the pretrained
        weights' file, if there is one. Raises OSError where it cannot be written.
        """
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        old = read_status(directory)
        status = Status(fingerprint=fingerprint, max_steps=max_steps)
        if old is not None:
            status = dataclasses.replace(
                status, started=old.started, starts=old.starts + 1, step=old.step, mlflow_run=old.mlflow_run
            )
        write_atomic(directory / "config.yaml", yaml.safe_dump(_plain(config), sort_keys=False), durable=True)
        record = cls(directory, status)
        write_status(directory, status)
        record._write_environment(command, weights_sha256)
        return record

    def path(self, name: str) -> Path:
        """Where the file of that name lies (`curves.png`, `checkpoints`)."""
        return self.directory / name

    @property
    def status(self) -> Status:
        """The status as last written."""
        return self._status

    def update_status(
        self,
        *,
        state: State | str | None = None,
        step: int | None = None,
        max_steps: int | None = None,
        message: str | None = None,
        mlflow_run: str | None = None,
    ) -> None:
        """Writes status.json with what is given changed."""
        given = {"step": step, "max_steps": max_steps, "message": message, "mlflow_run": mlflow_run}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if state is not None:
            changes["state"] = State(state)
        self._status = dataclasses.replace(self._status, **changes, updated=now())
        write_status(self.directory, self._status)

    @property
    def rows(self) -> list[Row]:
        """What metrics.jsonl holds."""
        return read_rows(self._log.path)

    @property
    def row_count(self) -> int:
        """Number of rows in metrics.jsonl, without reading it."""
        return self._log.count

    def log_metrics(self, step: int, values: dict[str, float]) -> None:
        """Appends one row to metrics.jsonl."""
        self._log.append(step, values)

    def rewind(self, rows: int) -> int:
        """Keeps the first `rows` rows of metrics.jsonl (a checkpoint's `row_count`); returns how many were dropped.

        A run that continues from a checkpoint will write the others again.
        """
        return self._log.rewind(rows)

    def close(self) -> None:
        """Closes metrics.jsonl. The status is left as it is."""
        self._log.close()

    def write_result(self, result: dict[str, Any]) -> None:
        """result.json: flat keys. What is not finite becomes null, which every JSON reader knows."""
        cleaned = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in result.items()}
        write_atomic(self.path("result.json"), json.dumps(cleaned, indent=1) + "\n", durable=True)

    def write_data(self, description: dict[str, Any]) -> None:
        """data.json: counts and digests of the splits, MLflow's data set input."""
        write_atomic(self.path("data.json"), json.dumps(description, indent=1) + "\n")

    def read_data(self) -> dict[str, Any]:
        """What `write_data` wrote at an earlier start; empty if there was none or it can't be read."""
        return read_data(self.directory)

    def write_predictions(
        self,
        ids: "np.ndarray",
        labels: "np.ndarray",
        probabilities: "np.ndarray",
        class_names: Sequence[str],
        *,
        name: str = "predictions.npz",
        keys: "np.ndarray | None" = None,
        groups: "np.ndarray | None" = None,
    ) -> None:
        """ids int64 [N], labels int64 [N], probabilities float32 [N, C], class_names str [C].

        `keys` int64 [N] are equal for the same image in any split, while an id is its place in this one; `groups`
        int64 [N] for images of one group (patient, camera, site). Raises ValueError where lengths differ.
        """
        import numpy as np

        arrays: dict[str, Any] = {
            "ids": np.asarray(ids, dtype=np.int64),
            "labels": np.asarray(labels, dtype=np.int64),
            "probabilities": np.asarray(probabilities, dtype=np.float32),
            "class_names": np.asarray(list(class_names), dtype=np.str_),
        }
        optional = {"keys": keys, "groups": groups}
        arrays |= {name: np.asarray(array, dtype=np.int64) for name, array in optional.items() if array is not None}
        lengths = {name: len(array) for name, array in arrays.items() if name != "class_names"}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"predictions differ in length: {lengths}")
        write_atomic(self.path(name), lambda file: np.savez(file, **arrays), durable=True)

    def write_per_class(self, rows: Sequence[tuple[str, int, int]], *, name: str = "per_class.csv") -> None:
        """`rows`: name, images, correct of each class. Accuracy stays empty where there are no images."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["class", "images", "correct", "accuracy"])
        for class_name, images, correct in rows:
            writer.writerow([class_name, images, correct, f"{correct / images:.6f}" if images else ""])
        write_atomic(self.path(name), text.getvalue())

    def _write_environment(self, command: str | None, weights_sha256: str | None) -> None:
        """env.json, again at each start."""
        content = {**environment(command), "weights_sha256": weights_sha256}
        write_atomic(self.path("env.json"), json.dumps(content, indent=1) + "\n")


def read_data(directory: Path) -> dict[str, Any]:
    """data.json of a run directory; empty if it is absent or damaged."""
    try:
        content = json.loads((directory / "data.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _plain(value: Any) -> Any:
    """The same configuration out of what YAML has."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Enum):
        return value.name
    return os.fspath(value) if isinstance(value, os.PathLike) else value
