"""Runs in MLflow as records: the same figures as in their run directories. MLflow is imported inside, it is slow."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.compare.artifacts import CURVES, Artifacts
from analysis.compare.records import Records, RunData, SweepData
from hma_ft.config.aliases import with_current_keys
from hma_ft.config.paths import uri_problem
from hma_ft.errors import UserError
from hma_ft.mlflow_sync.store import connect, database_file
from hma_ft.mlflow_sync.sync import short
from hma_ft.rundir.environment import without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_PAGE = 500


def load_mlflow(uri: str, experiments: Sequence[str] = ()) -> Records:
    """The runs at a tracking URI, of all experiments or of those named. UserError if it is out of reach or empty."""
    shown = without_passwords(uri)
    problem = uri_problem(uri)
    if problem:
        raise UserError(f"--mlflow {shown} {without_passwords(problem)}")
    database = database_file(uri)
    if database is not None and not database.is_file():
        raise UserError(f"--mlflow {shown}: there is no file {database}; the default lies at <runs_dir>/mlflow.db")
    try:
        client = connect(uri)
        found = _search(client, experiments)
        ours = [run for run in found if run.data.tags.get("fingerprint")]
        artifacts = Artifacts(client)
        runs = [_read(artifacts, run) for run in _latest(ours) if run.info.status == "FINISHED"]
    except UserError:
        raise
    except Exception as error:  # MLflow raises its own, the database's and the network's errors
        raise UserError(f"--mlflow {shown} can't be read: {short(error)}") from error
    if not runs:
        raise UserError(f"no finished run at --mlflow {shown}: `run.py task=sync` brings run directories there")
    unfinished = [str(run.info.run_name) for run in _latest(ours) if run.info.status != "FINISHED"]
    return Records(shown, runs, _sweeps(found), unfinished)


def _search(client: "MlflowClient", names: Sequence[str]) -> list["Run"]:
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    unknown = [name for name in names if name not in experiments]
    if unknown:
        raise UserError(f"MLflow has no experiment {unknown[0]}: it has {', '.join(sorted(experiments))}")
    chosen = [experiments[name] for name in names] or list(experiments.values())
    latest_first = ["attributes.start_time DESC"]
    page = client.search_runs(chosen, max_results=_PAGE, order_by=latest_first)
    runs = list(page)
    while page.token:
        page = client.search_runs(chosen, max_results=_PAGE, order_by=latest_first, page_token=page.token)
        runs += page
    return runs


def _latest(runs: Sequence["Run"]) -> list["Run"]:
    """One run a fingerprint: several are there if the same run was done in two folders."""
    latest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda r: (r.info.status == "FINISHED", r.info.start_time), reverse=True):
        latest.setdefault(run.data.tags["fingerprint"], run)
    return sorted(latest.values(), key=lambda run: str(run.info.run_name))


def _read(artifacts: Artifacts, run: "Run") -> RunData:
    run_id, tags = run.info.run_id, run.data.tags
    result: dict[str, Any] = {
        key.removeprefix("result.").replace(".", "/"): word for key, word in tags.items() if key.startswith("result.")
    }
    # as hma_ft.mlflow_sync.content.result_points names them
    result |= {k.removeprefix("best/"): v for k, v in run.data.metrics.items() if k.startswith("best/val/")}
    result |= {k: v for k, v in run.data.metrics.items() if not k.startswith((*CURVES, "best/val/"))}
    return RunData(
        name=str(run.info.run_name),
        place=run_id,
        fingerprint=tags["fingerprint"],
        params=with_current_keys(run.data.params),
        result=result,
        data=artifacts.json(run_id, "data.json"),
        env=artifacts.json(run_id, "env.json"),
        read_rows=partial(artifacts.rows, run),
        read_predictions=partial(artifacts.predictions, run_id),
    )


def _sweeps(found: Sequence["Run"]) -> list[SweepData]:
    """Parent runs with their children; a sweep over several data sets has a parent in each experiment."""
    children: dict[str, set[str]] = defaultdict(set)
    for run in found:
        children[run.data.tags.get("mlflow.parentRunId", "")].add(run.data.tags.get("fingerprint", "none"))
    sweeps: dict[str, SweepData] = {}
    for run in found:  # the latest first
        name = run.data.tags.get("hma.sweep")
        if name is None:
            continue
        identity = str(run.info.run_name)
        keys = frozenset(children[run.info.run_id])
        before = sweeps.get(identity)
        if before is not None:
            keys |= before.keys
        sweeps[identity] = SweepData(name, identity, keys, int(run.data.tags.get("hma.trials", len(keys))))
    return list(sweeps.values())
