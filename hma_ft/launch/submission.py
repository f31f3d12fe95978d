"""A submission in the making: the trials' configurations frozen, beside how they are launched."""

import dataclasses
import socket
from collections.abc import Mapping
from typing import Any

from hma_ft.config import save_config
from hma_ft.config.schema import Config, SweepConfig
from hma_ft.launch.code_changes import digest_of_changes
from hma_ft.launch.sweep import LaunchSpec, Submission, Sweep, write_record
from hma_ft.rundir.environment import git_state


def new_submission(
    sweep: Sweep,
    configs: Mapping[str, Config],
    launcher: str,
    options: dict[str, Any],
    *,
    parents: Mapping[str, str],
    fail_fast: bool,
    stage: str = "",
    session: int | None = None,
) -> Submission:
    """Freeze the trials, by key, and return their submission, which a backend then starts.

    `parents`: run ids in MLflow by experiment. `session`: None for the first submission of a command.
    """
    number = 1 + max((s.number for s in sweep.submissions()), default=0)
    git = git_state()
    for key, config in configs.items():
        spec = LaunchSpec(
            submission=number,
            fresh=config.fresh,
            fail_fast=fail_fast,
            mlflow_parent=parents.get(config.tracking.experiment),
            commit=git["commit"],
            changes=digest_of_changes(git),
        )
        _freeze(sweep, key, config, spec)
    return Submission(
        number=number,
        launcher=launcher,
        host=socket.gethostname(),
        options=options,
        trials=list(configs),
        code=git,
        stage=stage,
        session=number if session is None else session,
    )


def _freeze(sweep: Sweep, key: str, config: Config, spec: LaunchSpec) -> None:
    """What the trial will read, and all it will read of the configuration."""
    folder = sweep.trial_directory(key)
    folder.mkdir(parents=True, exist_ok=True)
    # trials that download side by side would corrupt the data: it is there by now
    dataset = dataclasses.replace(config.dataset, download=False)
    # a trial is an ordinary run, which knows the sweep by its name at the most
    frozen = dataclasses.replace(config, dataset=dataset, sweep=SweepConfig(name=config.sweep.name))
    save_config(frozen, folder / "config.yaml")
    write_record(folder / "order.json", dataclasses.asdict(spec))
