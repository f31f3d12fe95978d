"""The parent run of a sweep in MLflow: opened before the trials start, ended by whoever sees the last one end."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hma_ft.config.schema import Config
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.staged_plan import has_further_stages
from hma_ft.launch.stages import StageName
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep, write_record
from hma_ft.launch.sweep_status import sweep_status
from hma_ft.mlflow_sync.store import connect, experiment_id, tracking_uri, with_retries

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
TRIALS_LISTED = 50
OUR_DESCRIPTION = "A sweep of "  # how a parent's description begins until somebody writes another
_FILE = "mlflow_parents.json"  # experiment name -> {"uri": ..., "run": ..., "ended": status or ""}


def open_parents(sweep: Sweep, configs: Sequence[Config]) -> dict[str, str]:
    """The parent's run id for each MLflow experiment of the trials (children must be in their parent's experiment).

    Also brings a new database to its tables before several trials could. Without MLflow the sweep goes on: a warning.
    """
    known = parents_of(sweep)
    parents: dict[str, str] = {}
    for config in configs:
        name = config.tracking.experiment
        if not config.tracking.mlflow or name in parents:
            continue
        directory = next(Path(t.directory) for t in sweep.trials)
        uri = tracking_uri(config.tracking, directory)
        try:
            client = connect(uri)
            run = known.get(name, {}).get("run", "")
            parents[name] = run if _taken_up(client, run) else _create(client, uri, name, sweep)
        except Exception as error:
            log.warning("the sweep has no parent run in MLflow at %s: %s", uri, first_line(error))
            continue
        known[name] = {"uri": uri, "run": parents[name], "ended": ""}
    if known:
        write_record(sweep.directory / _FILE, known)
    return parents


def known_parents(sweep: Sweep) -> dict[str, str]:
    """The run id of each experiment's parent, as far as the sweep has opened some."""
    return {name: parent["run"] for name, parent in parents_of(sweep).items()}


def close_if_done(sweep: Sweep) -> None:
    """End the parents once every trial has finished or failed, and no stage is to come."""
    known = parents_of(sweep)
    if not known or has_further_stages(sweep.directory):
        return
    try:
        # a method is chosen among what finished: failures there are none of the sweep
        states = {row.state for row in sweep_status(sweep) if row.trial.stage in ("", StageName.seeds)}
    except SlurmSilent:
        return
    if states <= {TrialState.finished, TrialState.failed}:
        state = "FAILED" if TrialState.failed in states else "FINISHED"
        for parent in known.values():
            if parent.get("ended") == state:
                continue
            try:
                client = connect(parent["uri"])
                with_retries(client.set_terminated, parent["run"], status=state)
                parent["ended"] = state
            except Exception as error:
                log.warning("the sweep's parent run in MLflow stays open: %s", first_line(error))
        write_record(sweep.directory / _FILE, known)


def parents_of(sweep: Sweep) -> dict[str, dict[str, str]]:
    """Address, run id and end of each experiment's parent."""
    try:
        return dict(json.loads((sweep.directory / _FILE).read_text()))
    except (OSError, ValueError):
        return {}


def _taken_up(client: "MlflowClient", run: str) -> bool:
    """Whether the run is there; it counts as running again."""
    from mlflow.exceptions import MlflowException

    if not run:
        return False
    try:
        if with_retries(client.get_run, run).info.lifecycle_stage != "active":
            return False
        with_retries(client.update_run, run, status="RUNNING")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return True


def _create(client: "MlflowClient", uri: str, experiment: str, sweep: Sweep) -> str:
    trials = [f"- {trial.label}" for trial in sweep.trials[:TRIALS_LISTED]]
    more = len(sweep.trials) - len(trials)
    tags = {
        "hma.sweep": sweep.name,
        "hma.sweep.directory": str(sweep.directory),
        "hma.trials": str(len(sweep.trials)),
        "mlflow.source.name": "run.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": "\n".join(
            [f"{OUR_DESCRIPTION}{len(sweep.trials)} trials, which are its children:\n"]
            + trials
            + ([f"- and {more} more"] if more else [])
            + [f"\nRecord: `{sweep.directory}`. To watch it: `python run.py task=status sweep.name={sweep.name}`"]
        ),
    }
    run = with_retries(
        client.create_run, experiment_id(client, uri, experiment), tags=tags, run_name=sweep.directory.name
    )
    return str(run.info.run_id)


def first_line(error: Exception) -> str:
    """What an exception says first."""
    return (str(error).splitlines() or [type(error).__name__])[0]
