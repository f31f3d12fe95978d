"""The last stage of a sweep: its methods compared, by `python -m analysis.verdict` in a process of its own.

This package knows nothing of the analysis but that command and the verdict.json that it leaves.
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

from hma_ft.errors import UserError
from hma_ft.launch.last_line import last_line
from hma_ft.launch.local import environment_with_code
from hma_ft.launch.mlflow_parents import close_if_done
from hma_ft.launch.mlflow_verdict import log_verdict
from hma_ft.launch.staged_plan import COMPARE, DONE, read_options, read_state, write_state
from hma_ft.launch.stages import StageName
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.sweep_status import sweep_status
from hma_ft.launch.verdict import PAGE, Verdict, read_verdict


def compare_if_due(sweep: Sweep) -> None:
    """Compare the methods of a sweep whose trials have ended, unless that stands there already; then it is done.

    Raises UserError where the comparison is refused.
    """
    state = read_state(sweep.directory)
    if state.stage not in (COMPARE, DONE):
        return
    if state.stage == COMPARE and not is_current(sweep, read_verdict(sweep.directory)):
        _compare(sweep)
        log_verdict(sweep, read_verdict(sweep.directory))
    write_state(sweep.directory, dataclasses.replace(state, stage=DONE))
    close_if_done(sweep)


def is_current(sweep: Sweep, verdict: Verdict | None) -> bool:
    """Whether the verdict is about the trials that have finished by now, and the baseline that is asked for."""
    options = read_options(sweep.directory)
    if verdict is None or options is None or not (sweep.directory / PAGE).is_file():
        return False
    return (verdict.asked, verdict.trials) == (options.baseline, compared_trials(sweep))


def compared_trials(sweep: Sweep) -> list[str]:
    """Keys of the finished trials of the last stage, sorted."""
    rows = sweep_status(sweep)
    return sorted(
        row.trial.key for row in rows if row.trial.stage == StageName.seeds and row.state is TrialState.finished
    )


def _compare(sweep: Sweep) -> None:
    log = sweep.directory / "comparison.log"
    with open(log, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "analysis.verdict", str(sweep.directory)],
            cwd=Path(sweep.folder),
            env=environment_with_code(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise UserError(f"the methods could not be compared: {last_line(log)} (all of it: {log})")
