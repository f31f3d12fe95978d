"""Brings one MLflow run to what a run directory holds. The directory is the truth; doing it twice changes nothing.

MLflow can't take a point back, and keeps both of a point that is sent twice. So before the first point of a process,
and after every failure (a request that timed out may still have been carried out), the points at the server are read,
and only what is missing is sent. Where the server has a point that the directory has not (rows were dropped when the
run continued from a checkpoint), the MLflow run goes to the trash and is made anew.
"""

import getpass
import json
import logging
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hma_ft.config.schema import TrackingConfig
from hma_ft.errors import UserError
from hma_ft.files.lock import is_held
from hma_ft.files.waiting_lock import waiting_lock
from hma_ft.mlflow_sync import content as mlflow_content
from hma_ft.mlflow_sync import store as mlflow_store
from hma_ft.mlflow_sync.artifacts import pending_artifacts, send_artifact
from hma_ft.mlflow_sync.content import Content, Point
from hma_ft.mlflow_sync.state import MlflowState
from hma_ft.rundir.environment import without_passwords
from hma_ft.rundir.status import State, milliseconds

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

T = TypeVar("T")
UID_TAG = "hma.uid"
METRICS_A_BATCH = 1000  # MLflow's limits
PARAMS_A_BATCH = 100
_USUAL = {
    "Connection refused": "connection refused",
    "Read timed out": "no answer in time",
    "ReadTimeout": "no answer in time",
    "ConnectTimeout": "no answer in time",
    "Connection reset": "connection closed",
    "RemoteDisconnected": "connection closed",
    "Name or service not known": "unknown host name",
}
_ENDS = {State.finished: "FINISHED", State.failed: "FAILED", State.interrupted: "KILLED", State.running: "KILLED"}
Known = set[tuple[str, int]]  # (key, step) of the points at the server


def sync(directory: Path, tracking: TrackingConfig) -> str:
    """Brings MLflow to everything that `directory` holds; returns MLflow's run id. Raises UserError if that fails."""
    try:
        return MlflowSync(directory, tracking).update()
    except Exception as error:  # MLflow raises its own, the database's and the network's errors
        uri = without_passwords(mlflow_store.tracking_uri(tracking, directory))
        raise UserError(f"{directory} was not brought to MLflow at {uri}: {short(error)}") from error


def short(error: Exception) -> str:
    """The error on one line of bearable length; what is usual about networks in three words."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    for sign, words in _USUAL.items():
        if sign in text:
            return words
    return without_passwords(text if len(text) <= 300 else text[:297] + "...")


class MlflowSync:
    """One run directory and its MLflow run. Not thread-safe; several processes take turns."""

    def __init__(
        self,
        directory: Path,
        tracking: TrackingConfig,
        *,
        parent: str | None = None,
        busy: Callable[[float], None] = lambda seconds: None,
        probing: Callable[[], None] = lambda: None,
    ) -> None:
        """`parent`: MLflow run id of a sweep.

        `busy(seconds)` is called before whatever may take that long, `probing()` before a server has shown that it is
        there.
        """
        self.directory = directory
        self.tracking = tracking
        self.uri = mlflow_store.tracking_uri(tracking, directory)
        self._parent = parent
        self._busy = busy
        self._probing = probing
        self._name = uuid.uuid4().hex
        self._client: MlflowClient | None = None
        self._known: Known | None = None  # None: to be read from the server

    def update(self, *, rows: int | None = None) -> str:
        """Sends what is missing and returns MLflow's run id. Raises what MLflow raises.

        `rows`: of metrics.jsonl, while the run goes on; None: all, results, files and the end of the run.
        """
        try:
            with waiting_lock(self.directory / "mlflow.lock", seconds=25):
                return self._update(rows)
        except BaseException:
            self._known = None
            raise

    def _update(self, rows: int | None) -> str:
        content = mlflow_content.read_content(self.directory)
        client = self._connected()
        state = self._state()
        if self._known is None or state.writer != self._name or state.run_id is None:
            run = self._find(client, state, content)
            self._known = self._points_at_server(client, run, content)
            if self._known is None:
                run = self._replace(client, state, content, run)
                self._known = set()
            state.run_id, state.writer = run.info.run_id, self._name
            state.write(self.directory)
            self._send_facts(client, run, content)
        run_id, whole = str(state.run_id), rows is None
        points = mlflow_content.points(content.rows[:rows])
        if whole and content.status.state is State.finished:
            points |= mlflow_content.result_points(content)
        self._send_points(client, run_id, points)
        self._set_state(client, run_id, content, whole)
        for artifact in pending_artifacts(self.directory, state, whole=whole, weights=self.tracking.log_weights):
            self._busy(artifact.seconds + 5)
            send_artifact(client, run_id, artifact)
            state.artifacts[artifact.key] = artifact.version
            state.write(self.directory)
        complete = whole and content.status.state is State.finished
        if state.complete != complete:
            state.complete = complete
            state.write(self.directory)
        return run_id

    def _call(self, method: Callable[..., T], *arguments: Any, **named: Any) -> T:
        self._busy(mlflow_store.REQUEST_SECONDS + 1 if mlflow_store.is_server(self.uri) else 90)
        return mlflow_store.with_retries(method, *arguments, **named)

    def _connected(self) -> "MlflowClient":
        if mlflow_store.is_server(self.uri):
            self._probing()
        else:
            self._busy(150)
        if self._client is None:
            self._client = mlflow_store.connect(self.uri)
        else:
            mlflow_store.probe(self._client)
        return self._client

    def _state(self) -> MlflowState:
        state = MlflowState.read(self.directory)
        if state.uri != self.uri:  # other server, other run; the uid finds the run if it was there before
            state.uri, state.run_id, state.complete, state.artifacts = self.uri, None, False, {}
        state.parent = self._parent or state.parent
        return state

    def _find(self, client: "MlflowClient", state: MlflowState, content: Content) -> "Run":
        """The MLflow run of this directory, created if there is none."""
        experiment = mlflow_store.experiment_id(client, self.uri, self.tracking.experiment)
        query = f"tags.`{UID_TAG}` = '{state.uid}'"
        found = list(self._call(client.search_runs, [experiment], query, order_by=["attributes.start_time ASC"]))
        found.sort(key=lambda run: run.info.run_id != state.run_id)  # the one that we know comes first
        for late in found[1:]:  # of a request that timed out and was carried out after all
            self._call(client.delete_run, late.info.run_id)
        if not found:
            known = self._run_of(client, state.run_id)
            return known if known is not None else self._create(client, state, content, experiment, {})
        return found[0]

    def _run_of(self, client: "MlflowClient", run_id: str | None) -> "Run | None":
        """The run of that id, wherever it is; None if there is none or it was deleted."""
        from mlflow.exceptions import MlflowException

        if run_id is None:
            return None
        try:
            run = self._call(client.get_run, run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return run if run.info.lifecycle_stage == "active" else None

    def _create(
        self, client: "MlflowClient", state: MlflowState, content: Content, experiment: str, more: dict[str, str]
    ) -> "Run":
        tags = {"mlflow.note.content": mlflow_content.description(self.directory, content), **more}
        tags |= mlflow_content.tags(self.directory, content) | {UID_TAG: state.uid}
        if state.parent:
            tags["mlflow.parentRunId"] = state.parent
        try:
            tags["mlflow.user"] = getpass.getuser()
        except (KeyError, OSError):  # a container without a user data base
            logging.getLogger(__name__).debug("the user has no name")
        state.artifacts = {}
        state.write(self.directory)  # the uid must be on disk before a run carries it
        name = mlflow_content.run_name(self.directory, content)
        started = milliseconds(content.status.started)
        return self._call(client.create_run, experiment, start_time=started, tags=tags, run_name=name)

    def _replace(self, client: "MlflowClient", state: MlflowState, content: Content, old: "Run") -> "Run":
        """A new run in the place of one whose points can't be mended; what the user wrote on it moves along."""
        kept = {k: v for k, v in old.data.tags.items() if not k.startswith("mlflow.") or k == "mlflow.note.content"}
        self._call(client.delete_run, old.info.run_id)
        return self._create(client, state, content, old.info.experiment_id, kept)

    def _points_at_server(self, client: "MlflowClient", run: "Run", content: Content) -> Known | None:
        """None if one of them is not in the record, has another value there, or is there twice."""
        expected = mlflow_content.points(content.rows) | mlflow_content.result_points(content)
        ours = {key for key, _ in expected}
        known: Known = set()
        for key in run.data.metrics:
            if key not in ours and not key.startswith(("train/", "val/")):
                continue  # system metrics, or the user's own
            for metric in self._call(client.get_metric_history, run.info.run_id, key):
                point = expected.get((key, metric.step))
                fits = point is not None and mlflow_content.same_value(point.value, metric.value)
                if not fits or (key, metric.step) in known:
                    return None
                known.add((key, metric.step))
        return known

    def _send_facts(self, client: "MlflowClient", run: "Run", content: Content) -> None:
        """Params, tags and data set that the server does not have. Params can't be changed: the first start's stay."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        run_id = run.info.run_id
        new = {k: v for k, v in mlflow_content.params(content.config).items() if k not in run.data.params}
        params = [Param(k, v) for k, v in new.items()]
        tags = mlflow_content.tags(self.directory, content)
        changed = [RunTag(k, v) for k, v in tags.items() if run.data.tags.get(k) != v]
        self._call(client.log_batch, run_id, tags=changed)
        for start in range(0, len(params), PARAMS_A_BATCH):
            self._call(client.log_batch, run_id, params=params[start : start + PARAMS_A_BATCH])
        if content.data and not (run.inputs and run.inputs.dataset_inputs):
            config = content.config["dataset"]
            data = Dataset(
                name=str(config["name"]),
                digest=mlflow_content.data_digest(content),
                source_type="local",
                source=json.dumps({"root": str(config.get("root")), "split_seed": config.get("split_seed")}),
                profile=json.dumps(content.data),
            )
            self._call(client.log_inputs, run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "train")])])

    def _send_points(self, client: "MlflowClient", run_id: str, points: dict[tuple[str, int], Point]) -> None:
        from mlflow.entities import Metric

        known = self._known if self._known is not None else set()
        missing = [point for place, point in points.items() if place not in known]
        for start in range(0, len(missing), METRICS_A_BATCH):
            batch = missing[start : start + METRICS_A_BATCH]
            metrics = [Metric(p.key, p.value, p.timestamp, p.step) for p in batch]
            self._call(client.log_batch, run_id, metrics=metrics)
            known |= {(p.key, p.step) for p in batch}

    def _set_state(self, client: "MlflowClient", run_id: str, content: Content, whole: bool) -> None:
        status = content.status
        running = not whole or (status.state is State.running and is_held(self.directory))
        wanted = "RUNNING" if running else _ENDS[status.state]
        if self._call(client.get_run, run_id).info.status == wanted:
            return
        if running:
            self._call(client.update_run, run_id, status=wanted)
        else:
            self._call(client.set_terminated, run_id, wanted, end_time=milliseconds(status.updated))
