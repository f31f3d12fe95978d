"""Files and curves of MLflow runs, each fetched once."""

import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.compare.load import read_predictions
from analysis.compare.records import Predictions
from hma_ft.errors import UserError
from hma_ft.mlflow_sync.store import UPLOAD_SECONDS, request_timeout
from hma_ft.mlflow_sync.sync import short
from hma_ft.rundir.metric_log import Row

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

CURVES = ("train/", "val/")


class Artifacts:
    """Downloads to a temporary folder that is removed with this object."""

    def __init__(self, client: "MlflowClient") -> None:
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self._client = client
        self._folder = tempfile.TemporaryDirectory()
        self._names: dict[str, set[str]] = {}

    def fetch(self, run_id: str, name: str) -> Path | None:
        """The file `name` of a run; None if the run has none. UserError if MLflow does not give it."""
        path = Path(self._folder.name) / run_id / name
        if path.exists():
            return path
        try:
            if run_id not in self._names:
                self._names[run_id] = {item.path for item in self._client.list_artifacts(run_id)}
            if name not in self._names[run_id]:
                return None
            path.parent.mkdir(exist_ok=True)
            with request_timeout(UPLOAD_SECONDS):
                return Path(self._client.download_artifacts(run_id, name, str(path.parent)))
        except Exception as error:  # MLflow raises its own, the file system's and the network's errors
            raise UserError(f"{name} of MLflow's run {run_id} can't be fetched: {short(error)}") from error

    def json(self, run_id: str, name: str) -> dict[str, Any]:
        """A JSON file; empty if the run has none."""
        path = self.fetch(run_id, name)
        return dict(json.loads(path.read_text())) if path else {}

    def predictions(self, run_id: str, suffix: str) -> Predictions | None:
        """Test predictions of an inference mode."""
        path = self.fetch(run_id, f"predictions{suffix}.npz")
        return read_predictions(path) if path else None

    def rows(self, run: "Run") -> list[Row]:
        """The curves, one row a step."""
        rows: dict[int, Row] = defaultdict(dict)
        try:
            for key in run.data.metrics:
                if key.startswith(CURVES):
                    for point in self._client.get_metric_history(run.info.run_id, key):
                        rows[point.step] |= {"step": point.step, key: point.value}
        except Exception as error:  # as above
            raise UserError(f"the curves of MLflow's run {run.info.run_id} can't be read: {short(error)}") from error
        return [rows[step] for step in sorted(rows)]
