"""Runs out of MLflow: the same numbers as in their run directories. MLflow is imported inside, it is slow."""

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.compare.records.directories import read_predictions
from analysis.compare.records.frame import Records
from analysis.compare.records.run import Predictions, Run, Sweep, settings_of
from hma_ft.config.aliases import with_current_keys, with_current_names
from hma_ft.config.paths import uri_problem
from hma_ft.errors import UserError
from hma_ft.files.yaml_file import read_yaml
from hma_ft.mlflow_sync.store import UPLOAD_SECONDS, connect, database_file, request_timeout
from hma_ft.mlflow_sync.sync import short
from hma_ft.rundir.environment import without_passwords
from hma_ft.rundir.metric_log import Row

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

_CURVES = ("train/", "val/")
_PAGE = 500


def load_mlflow(uri: str, experiments: Sequence[str] = ()) -> Records:
    """The runs at a tracking URI, of all experiments or of those named. UserError if it is out of reach or empty."""
    shown, problem = without_passwords(uri), uri_problem(uri)
    if problem:
        raise UserError(f"--mlflow {shown} {without_passwords(problem)}")
    database = database_file(uri)
    if database is not None and not database.is_file():
        raise UserError(f"--mlflow {shown}: there is no file {database}; the default lies at <runs_dir>/mlflow.db")
    try:
        client = connect(uri)
        found = _search(client, experiments)
        latest = _latest([run for run in found if run.data.tags.get("fingerprint")])
        artifacts = _Artifacts(client)
        runs = [_read(artifacts, run) for run in latest if run.info.status == "FINISHED"]
    except UserError:
        raise
    except Exception as error:  # MLflow raises its own, the database's and the network's errors
        raise UserError(f"--mlflow {shown} can't be read: {short(error)}") from error
    if not runs:
        raise UserError(f"no finished run at --mlflow {shown}: `run.py task=sync` brings run directories there")
    unfinished = [str(run.info.run_name) for run in latest if run.info.status != "FINISHED"]
    return Records(shown, runs, _sweeps(found), unfinished)


def _search(client: "MlflowClient", names: Sequence[str]) -> list["MlflowRun"]:
    """All runs, the latest first."""
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    unknown = [name for name in names if name not in experiments]
    if unknown:
        raise UserError(f"MLflow has no experiment {unknown[0]}: it has {', '.join(sorted(experiments))}")
    chosen = [experiments[name] for name in names] or list(experiments.values())
    runs: list[MlflowRun] = []
    token: str | None = None
    while True:
        page = client.search_runs(chosen, max_results=_PAGE, order_by=["attributes.start_time DESC"], page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _latest(runs: Sequence["MlflowRun"]) -> list["MlflowRun"]:
    """One run a fingerprint: several are there if the same run was done in two folders."""
    latest: dict[str, MlflowRun] = {}
    for run in sorted(runs, key=lambda r: (r.info.status == "FINISHED", r.info.start_time), reverse=True):
        latest.setdefault(run.data.tags["fingerprint"], run)
    return sorted(latest.values(), key=lambda run: str(run.info.run_name))


def _read(artifacts: "_Artifacts", run: "MlflowRun") -> Run:
    run_id, tags, metrics = run.info.run_id, run.data.tags, run.data.metrics
    result: dict[str, Any] = {
        key.removeprefix("result.").replace(".", "/"): word for key, word in tags.items() if key.startswith("result.")
    }
    # as hma_ft.mlflow_sync.content.result_points names them
    result |= {key.removeprefix("best/"): value for key, value in metrics.items() if key.startswith("best/val/")}
    result |= {key: value for key, value in metrics.items() if not key.startswith((*_CURVES, "best/val/"))}
    settings = settings_of(with_current_names(artifacts.read(run_id, "config.yaml")))
    return Run(
        name=str(run.info.run_name),
        place=run_id,
        fingerprint=tags["fingerprint"],
        params=settings | with_current_keys(run.data.params),
        result=result,
        data=artifacts.read(run_id, "data.json"),
        env=artifacts.read(run_id, "env.json"),
        read_rows=partial(artifacts.rows, run),
        read_predictions=partial(artifacts.predictions, run_id),
    )


def _sweeps(found: Sequence["MlflowRun"]) -> list[Sweep]:
    """Parent runs with their children; a sweep over several data sets has a parent in each experiment."""
    children: dict[str, set[str]] = defaultdict(set)
    for run in found:
        children[run.data.tags.get("mlflow.parentRunId", "")].add(run.data.tags.get("fingerprint", "none"))
    sweeps: dict[str, Sweep] = {}
    for run in found:  # the latest first
        name, identity = run.data.tags.get("hma.sweep"), str(run.info.run_name)
        if name is not None:
            keys = frozenset(children[run.info.run_id]) | (sweeps[identity].keys if identity in sweeps else frozenset())
            sweeps[identity] = Sweep(name, identity, keys, int(run.data.tags.get("hma.trials", len(keys))))
    return list(sweeps.values())


class _Artifacts:
    """Files and curves of runs, each fetched once, to a temporary folder that is removed with this object."""

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

    def read(self, run_id: str, name: str) -> dict[str, Any]:
        """A YAML or JSON file; empty if the run has none."""
        path = self.fetch(run_id, name)
        if path is None:
            return {}
        return dict(read_yaml(path) if name.endswith(".yaml") else json.loads(path.read_text()))

    def predictions(self, run_id: str, suffix: str) -> Predictions | None:
        """Test predictions of an inference mode."""
        path = self.fetch(run_id, f"predictions{suffix}.npz")
        return read_predictions(path) if path else None

    def rows(self, run: "MlflowRun") -> list[Row]:
        """The curves, one row a step."""
        rows: dict[int, Row] = defaultdict(dict)
        try:
            for key in run.data.metrics:
                if key.startswith(_CURVES):
                    for point in self._client.get_metric_history(run.info.run_id, key):
                        rows[point.step] |= {"step": point.step, key: point.value}
        except Exception as error:  # as above
            raise UserError(f"the curves of MLflow's run {run.info.run_id} can't be read: {short(error)}") from error
        return [rows[step] for step in sorted(rows)]
