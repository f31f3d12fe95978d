"""The process behind `hydra/launcher=local`: `python -m hma_ft.launch.supervisor SWEEP_FOLDER SUBMISSION`.

It holds the lock of its submission while it lives, gives each trial a slot, and ends them all at SIGTERM.
"""

import os
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from hma_ft.files.atomic import write_atomic
from hma_ft.files.lock import RunLock
from hma_ft.launch.following import following
from hma_ft.launch.forkserver import ForkServer
from hma_ft.launch.last_line import last_line
from hma_ft.launch.local import cpu_share, gpu_of_slot, job_slots, options_of, visible_gpus
from hma_ft.launch.mlflow_workers import MlflowWorkers
from hma_ft.launch.sweep import Submission, Sweep, named_submission
from hma_ft.launch.trial_status import TrialStatus, read_trial_status, write_trial_status

SECONDS_TO_SAVE = 120.0  # after SIGTERM, before SIGKILL
_POLL_SECONDS = 0.1


@dataclass
class _Running:
    key: str
    slot: int
    process: BaseProcess


class Supervisor:
    """Runs the trials of one submission, `slots` at a time, in their order."""

    def __init__(self, sweep: Sweep, submission: Submission) -> None:
        self.take(sweep, submission)
        self.gpus = visible_gpus()
        self.slots = job_slots(options_of(submission).n_jobs, self.gpus)
        self.running: list[_Running] = []
        self.cancelled = False
        os.environ.update(cpu_share(self.slots))
        self.mlflow_workers = MlflowWorkers()
        self.fork_server = ForkServer(self.mlflow_workers.settings)
        signal.signal(signal.SIGTERM, self._cancel)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def take(self, sweep: Sweep, submission: Submission) -> None:
        """Whose trials `run` runs next."""
        self.sweep = sweep
        self.submission = submission
        self.waiting = list(submission.trials)

    def run(self) -> None:
        """Returns when every trial has ended."""
        while self.waiting or self.running:
            if self.cancelled:
                self._end_all()
                return
            self._fill_slots()
            self.mlflow_workers.start_if_asked()
            time.sleep(_POLL_SECONDS)
            for trial in [t for t in self.running if t.process.exitcode is not None]:
                self.running.remove(trial)
                self._settle(trial)

    def _cancel(self, signum: int, frame: FrameType | None) -> None:
        self.cancelled = True

    def _fill_slots(self) -> None:
        free = sorted(set(range(self.slots)) - {t.slot for t in self.running})
        for slot in free[: len(self.waiting)]:
            self.running.append(self._start(self.waiting.pop(0), slot))

    def _start(self, key: str, slot: int) -> _Running:
        folder = self.sweep.trial_directory(key)
        process = self.fork_server.start(
            [str(folder / "config.yaml")],
            folder=Path(self.sweep.folder),
            output=folder / "output.log",
            settings=gpu_of_slot(slot, self.gpus),
        )
        return _Running(key, slot, process)

    def _settle(self, trial: _Running) -> None:
        """Say what a trial could not say itself, and stop at the first failure if that is asked for."""
        folder = self.sweep.trial_directory(trial.key)
        status = read_trial_status(folder)
        if status is None or status.submission != self.submission.number:
            status = TrialStatus(submission=self.submission.number)
        if not status.ended:
            status = replace(status, state="failed", error=_how_it_ended(trial.process.exitcode, folder))
            write_trial_status(folder, status)
        spec = self.sweep.launch_spec(trial.key)
        if status.state == "failed" and spec is not None and spec.fail_fast:
            self.cancelled = True

    def _end_all(self) -> None:
        for key in self.waiting:
            self._write_cancelled(key)
        self.waiting.clear()
        for trial in self.running:
            trial.process.terminate()
        deadline = time.monotonic() + SECONDS_TO_SAVE
        for trial in self.running:
            while trial.process.exitcode is None and time.monotonic() < deadline:
                self.mlflow_workers.start_if_asked()  # the trial tells MLflow how it ended
                trial.process.join(_POLL_SECONDS)
            if trial.process.exitcode is None:
                trial.process.kill()
                trial.process.join()
            status = read_trial_status(self.sweep.trial_directory(trial.key))
            if (
                status is None
                or status.submission != self.submission.number
                or status.state in ("running", "interrupted")
            ):
                self._write_cancelled(trial.key)
        self.running.clear()

    def _write_cancelled(self, key: str) -> None:
        status = TrialStatus(submission=self.submission.number, state="cancelled", error="cancelled")
        write_trial_status(self.sweep.trial_directory(key), status)


def _how_it_ended(code: int | None, folder: Path) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    last = last_line(folder / "output.log")
    return f"exit code {code}" + (f": {last}" if last else "")


def main(arguments: list[str]) -> int:
    """The command line."""
    named = named_submission("hma_ft.launch.supervisor", arguments)
    if named is None:
        return 2
    sweep: Sweep = named[0]
    submission: Submission | None = named[1]
    with ExitStack() as locks:
        supervisor: Supervisor | None = None
        while submission is not None:
            directory = sweep.submission_directory(submission.number)
            locks.enter_context(RunLock(directory))  # before a watcher sees a submission that nobody is at
            sweep.save_submission(submission)
            if supervisor is None:
                supervisor = Supervisor(sweep, submission)
                locks.callback(supervisor.mlflow_workers.close)
            else:
                supervisor.take(sweep, submission)
            write_atomic(directory / "started", str(os.getpid()))
            supervisor.run()
            if supervisor.cancelled or not submission.stage:
                break
            sweep, submission = following(sweep, submission)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
