"""`task=sync`: bring MLflow to what the run directories hold, after an outage, a kill, or for another server."""

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from hma_ft.config.schema import Config, Device, TrackingConfig
from hma_ft.errors import UserError
from hma_ft.files.lock import is_held
from hma_ft.files.yaml_file import read_yaml
from hma_ft.mlflow_sync.artifacts import MODEL
from hma_ft.mlflow_sync.store import connect, tracking_uri
from hma_ft.mlflow_sync.sync import short
from hma_ft.mlflow_sync.sync import sync as bring_up_to_date
from hma_ft.rundir.status import State, read_status


def sync(config: Config, given: frozenset[str] = frozenset()) -> int:
    """Syncs `config.run`, or all runs under `config.runs_dir`; returns 1 if one of them failed, else 0.

    `tracking.uri` of the command wins over what the run was recorded with. Raises UserError if there is no run, or if
    MLflow does not answer.
    """
    directories = [Path(config.run)] if config.run else _runs(Path(config.runs_dir))
    failed, reached = 0, set()
    for directory in directories:
        if is_held(directory):
            print(f"running  {directory} (it feeds MLflow itself)")
            continue
        try:
            tracking = _tracking(directory, config.tracking)
            uri = tracking_uri(tracking, directory)
            if uri not in reached:
                _require_answer(uri)
                reached.add(uri)
            if tracking.log_weights:
                _provide_model(directory, config, given)
            bring_up_to_date(directory, tracking)
            print(f"synced   {directory}")
        except UnreachableError:
            raise
        except UserError as error:
            failed += 1
            print(f"failed   {error}")
    return 1 if failed else 0


ANSWER_SECONDS = 15  # a server that was just started takes seconds over its first answer, and no training waits for it


class UnreachableError(UserError):
    """Every further run would wait for the same time limit."""


def _require_answer(uri: str) -> None:
    try:
        connect(uri, seconds=ANSWER_SECONDS)
    except Exception as error:  # of MLflow, the network or the database
        raise UnreachableError(
            f"MLflow at {uri} does not answer ({short(error)}); start it, or set tracking.uri"
        ) from error


def _runs(runs_dir: Path) -> list[Path]:
    found = sorted(path.parent for path in runs_dir.glob("*/*/status.json"))
    if not found:
        raise UserError(f"there are no runs in runs_dir={runs_dir}; give the folder that holds them, or run=DIR")
    return found


def _provide_model(directory: Path, command: Config, given: frozenset[str]) -> None:
    """The folder that `mlflow models serve` reads, of a finished run that did not write it."""
    status = read_status(directory)
    if (directory / MODEL).exists() or status is None or status.state is not State.finished:
        return
    from hma_ft.finished_run import open_for_command  # torch comes with it
    from hma_ft.serving.mlflow_model import write_mlflow_model

    run = open_for_command(command, given, directory=directory, device=Device.cpu, compile=False)
    run.prepare_inference(run.modes[0])  # which is served
    write_mlflow_model(directory, run.method, run.recorded, transform=run.transform, class_names=run.class_names)


def _tracking(directory: Path, command: TrackingConfig) -> TrackingConfig:
    """How the run was recorded, with the command's address and its wish for weights."""
    if read_status(directory) is None:
        raise UserError(f"{directory} is not a run directory: it has no readable status.json")
    frozen = _frozen_tracking(directory / "config.yaml")
    own = TrackingConfig(**{f.name: frozen[f.name] for f in dataclasses.fields(TrackingConfig) if f.name in frozen})
    weights = command.log_weights or own.log_weights
    return dataclasses.replace(own, uri=command.uri or own.uri, log_weights=weights)


def _frozen_tracking(path: Path) -> dict[str, Any]:
    """The group `tracking` of a run's configuration, whichever version wrote the rest."""
    try:
        return dict(read_yaml(path)["tracking"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} can't be read as a configuration ({reason}): restore it from a backup") from error
