"""Status of a sweep's trials, from run records, the trials' own status files and the queue."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hma_ft.files.lock import is_held
from hma_ft.launch.backend import backend_of
from hma_ft.launch.states import JobState, TrialState
from hma_ft.launch.sweep import Submission, Sweep, Trial
from hma_ft.launch.trial_status import TrialStatus, read_trial_status
from hma_ft.rundir.metric_log import Row, read_rows
from hma_ft.rundir.status import State, Status, read_status


@dataclass(frozen=True)
class TrialRow:
    """One row of a sweep's table."""

    trial: Trial
    state: TrialState
    step: int = 0
    max_steps: int = 0
    seconds_left: float | None = None
    val_top1: float | None = None
    test_top1: float | None = None
    note: str = ""  # job, error, changed code

    @property
    def active(self) -> bool:
        """Whether somebody works on it or will."""
        return self.state in (TrialState.queued, TrialState.running)


def sweep_status(sweep: Sweep) -> list[TrialRow]:
    """All trials of a sweep. Raises SlurmSilent while Slurm doesn't answer, UserError without Slurm's commands."""
    submissions = sweep.submissions()
    jobs = _jobs(sweep, submissions)
    latest = max((submission.number for submission in submissions), default=0)
    return [trial_row(sweep, trial, jobs.get(trial.key), latest=latest) for trial in sweep.trials]


def active_jobs(sweep: Sweep) -> dict[str, JobState]:
    """The trials that wait or run, by key. Raises as `sweep_status`."""
    return _jobs(sweep, sweep.submissions())


def _jobs(sweep: Sweep, submissions: Sequence[Submission]) -> dict[str, JobState]:
    jobs: dict[str, JobState] = {}
    for submission in submissions:
        # the queue before the files: what leaves the queue in between has written its end by then
        jobs |= backend_of(submission).job_states(sweep, submission)
    return jobs


def goes_on(sweep: Sweep) -> bool:
    """Whether a process will start a further stage of the sweep, or compares its methods now."""
    submissions = sweep.submissions()
    of_command = [s for s in submissions if s.stage and s.session == submissions[-1].session]
    return any(backend_of(submission).goes_on(sweep, submission) for submission in of_command)


def trial_row(sweep: Sweep, trial: Trial, job: JobState | None, *, latest: int | None = None) -> TrialRow:
    """One trial, whose job is among `active_jobs` or None.

    `latest`: number of the last submission that was asked for jobs; a later one is being handed over meanwhile.
    """
    directory = Path(trial.directory)
    if not directory.is_absolute():
        directory = Path(sweep.folder) / directory
    run = read_status(directory)
    said = read_trial_status(sweep.trial_directory(trial.key))
    step, steps = (run.step, run.max_steps) if run is not None else (0, 0)
    code = said.code if said is not None else ""
    restarted = job is not None and (spec := sweep.launch_spec(trial.key)) is not None and spec.fresh

    at_work = job is not None and job.state is TrialState.running  # after its run's end, on MLflow
    if run is not None and run.state is State.finished and not restarted and not at_work:
        val, test = _results(directory)
        return TrialRow(trial, TrialState.finished, step, steps, val_top1=val, test_top1=test, note=code)
    if job is not None and job.state is TrialState.queued:
        return TrialRow(trial, TrialState.queued, step, steps, note=job.reason)
    if job is not None or is_held(directory):
        left = seconds_left(directory, run)
        note = "; ".join(filter(None, [job.reason if job else "", code]))
        return TrialRow(trial, TrialState.running, step, steps, seconds_left=left, note=note)
    return _unattended(sweep, trial, run, said, latest)


def _unattended(
    sweep: Sweep, trial: Trial, run: Status | None, said: TrialStatus | None, latest: int | None
) -> TrialRow:
    """Not finished, and nobody works on it."""
    step, steps = (run.step, run.max_steps) if run is not None else (0, 0)
    spec = sweep.launch_spec(trial.key)
    if spec is not None and latest is not None and spec.submission > latest:
        return TrialRow(trial, TrialState.queued, step, steps)
    submission = sweep.submission(spec.submission) if spec is not None else None
    state = TrialState.new if run is None else TrialState.continues
    if submission is None:  # never submitted as a part of this sweep
        failed = run is not None and run.state is State.failed
        return TrialRow(
            trial, TrialState.failed if failed else state, step, steps, note=run.message if run and failed else ""
        )
    if said is not None and said.submission == submission.number and said.ended:
        state = TrialState.failed if said.state == "failed" else state
        return TrialRow(trial, state, step, steps, note=said.error)
    end = backend_of(submission).exit_reason(sweep, submission, trial.key)
    return TrialRow(trial, end.state if end.state is TrialState.failed else state, step, steps, note=end.reason)


def _results(directory: Path) -> tuple[float | None, float | None]:
    """val and test top-1 of a finished run."""
    try:
        result = json.loads((directory / "result.json").read_text())
    except (OSError, ValueError):
        return None, None
    return result.get("val/top1"), result.get("test/top1")


def seconds_left(directory: Path, run: Status | None) -> float | None:
    """Training time that is left, from the pace of the last rows of metrics.jsonl."""
    if run is None or not run.max_steps:
        return None
    try:
        start = (directory / "env.json").stat().st_mtime  # written anew at each start: a pause is no pace
    except OSError:
        return None
    rows = [
        row for row in read_rows(directory / "metrics.jsonl")[-20:] if "train/loss" in row and _seconds(row) >= start
    ]
    if len(rows) < 2 or rows[-1]["step"] <= rows[0]["step"]:
        return None
    first, last = _seconds(rows[0]), _seconds(rows[-1])
    pace = (last - first) / (rows[-1]["step"] - rows[0]["step"])
    return max(0.0, (run.max_steps - rows[-1]["step"]) * pace - (time.time() - last))


def _seconds(row: Row) -> float:
    return datetime.fromisoformat(row["time"]).timestamp()
