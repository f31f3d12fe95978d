"""What the trials of a staged sweep came to, looked up once in the records."""

import json
from pathlib import Path

from hma_ft.launch.candidates import Attempt, Outcome
from hma_ft.launch.staged_plan import StagedPlan
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep, Trial
from hma_ft.launch.sweep_status import TrialRow, active_jobs, trial_row
from hma_ft.rundir.status import State, read_status


class Outcomes:
    """The records at one moment."""

    def __init__(self, plan: StagedPlan, sweep: Sweep, session: int | None, *, is_decided: bool) -> None:
        """`session`: first submission of the command that goes on; None where it begins.

        `is_decided`: val has chosen already, and a trial that failed before that is not tried again.
        """
        self._plan, self._sweep, self._session, self._is_decided = plan, sweep, session, is_decided
        self._trials: dict[tuple[str, str, int], Trial] = {}
        self._rows: dict[str, TrialRow] = {}
        self._jobs = active_jobs(sweep)

    def of(self, attempt: Attempt) -> Outcome:
        """The outcome of a trial: whoever finished its run, it counts; a failure counts only of this command."""
        trial = self._trial(attempt)
        finished = read_status(Path(trial.directory))
        if finished is not None and finished.state is State.finished and not self._is_to_be_redone(attempt):
            return Outcome(val=_val_top1(trial), finished=True)
        row = self._row(trial)
        is_settled = self._is_decided and attempt.seed not in attempt.candidate.seeds
        if (is_settled or self.is_mine(attempt)) and row.state is TrialState.failed:
            return Outcome(error=row.note or "failed")
        return Outcome()

    def is_queued(self, attempt: Attempt) -> bool:
        """Whether the trial waits or runs in this sweep. One that another process runs is waited for by a new trial."""
        return self._trial(attempt).key in self._jobs

    def is_mine(self, attempt: Attempt) -> bool:
        """Whether the present command has launched the trial."""
        key = self._trial(attempt).key
        spec = self._sweep.launch_spec(key)
        if spec is None or self._session is None or spec.submission < self._session:
            return False
        submission = self._sweep.submission(spec.submission)
        return submission is not None and self._sweep.was_started(submission, key)

    def _is_to_be_redone(self, attempt: Attempt) -> bool:
        return self._plan.config(attempt).fresh and not self.is_mine(attempt)

    def _trial(self, attempt: Attempt) -> Trial:
        place = attempt.candidate.label, json.dumps(attempt.settings), attempt.seed  # a label rounds its numbers
        if place not in self._trials:
            self._trials[place] = self._plan.trial(attempt)
        return self._trials[place]

    def _row(self, trial: Trial) -> TrialRow:
        if trial.key not in self._rows:
            self._rows[trial.key] = trial_row(self._sweep, trial, self._jobs.get(trial.key))
        return self._rows[trial.key]


def _val_top1(trial: Trial) -> float | None:
    try:
        return float(json.loads((Path(trial.directory) / "result.json").read_text())["val/top1"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
