"""How the trials of a sweep stand, put together from run records, trials' own words and the queue."""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from hma_ft.launch.backend import Held, Place, backend_of
from hma_ft.launch.sweep import Sweep, Trial
from hma_ft.launch.trial_status import TrialStatus, read_trial_status
from hma_ft.tracking.lock import is_held
from hma_ft.tracking.metric_log import Row, read_rows
from hma_ft.tracking.status import State, Status, read_status


class Standing(StrEnum):
    """How a trial stands."""

    new = "new"
    queued = "queued"
    running = "running"
    continues = "continues"  # cut off; the next submission takes it up at its last checkpoint
    failed = "failed"
    finished = "finished"


@dataclass(frozen=True)
class View:
    """One row of a sweep's table."""

    trial: Trial
    standing: Standing
    step: int = 0
    max_steps: int = 0
    seconds_left: float | None = None
    val_top1: float | None = None
    test_top1: float | None = None
    note: str = ""  # job, error, moved code

    @property
    def active(self) -> bool:
        """Whether somebody works on it or will."""
        return self.standing in (Standing.queued, Standing.running)


def look(sweep: Sweep) -> list[View]:
    """All trials of a sweep. Raises SlurmSilent while Slurm doesn't answer, UserError without Slurm's commands."""
    held: dict[str, Held] = {}
    for submission in sweep.submissions():
        # the queue before the files: what leaves the queue in between has written its end by then
        held |= backend_of(submission).places(sweep, submission)
    return [_view(sweep, trial, held.get(trial.key)) for trial in sweep.trials]


def _view(sweep: Sweep, trial: Trial, held: Held | None) -> View:
    directory = Path(trial.directory)
    if not directory.is_absolute():
        directory = Path(sweep.folder) / directory
    run = read_status(directory)
    said = read_trial_status(sweep.trial_directory(trial.key))
    step, steps = (run.step, run.max_steps) if run is not None else (0, 0)
    code = said.code if said is not None else ""
    restarted = held is not None and (order := sweep.order(trial.key)) is not None and order.fresh

    at_work = held is not None and held.place is Place.running  # after its run's end, on MLflow
    if run is not None and run.state is State.finished and not restarted and not at_work:
        val, test = _results(directory)
        return View(trial, Standing.finished, step, steps, val_top1=val, test_top1=test, note=code)
    if held is not None and held.place is Place.queued:
        return View(trial, Standing.queued, step, steps, note=held.note)
    if held is not None or is_held(directory):
        left = seconds_left(directory, run)
        note = "; ".join(filter(None, [held.note if held else "", code]))
        return View(trial, Standing.running, step, steps, seconds_left=left, note=note)
    return _unattended(sweep, trial, run, said)


def _unattended(sweep: Sweep, trial: Trial, run: Status | None, said: TrialStatus | None) -> View:
    """Not finished, and nobody works on it."""
    step, steps = (run.step, run.max_steps) if run is not None else (0, 0)
    order = sweep.order(trial.key)
    submission = sweep.submission(order.submission) if order is not None else None
    standing = Standing.new if run is None else Standing.continues
    if submission is None:  # never submitted as a part of this sweep
        failed = run is not None and run.state is State.failed
        return View(
            trial, Standing.failed if failed else standing, step, steps, note=run.message if run and failed else ""
        )
    if said is not None and said.submission == submission.number and said.ended:
        standing = Standing.failed if said.state == "failed" else standing
        return View(trial, standing, step, steps, note=said.error)
    end = backend_of(submission).last_words(sweep, submission, trial.key)
    return View(trial, Standing.failed if end.failed else standing, step, steps, note=end.reason)


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
