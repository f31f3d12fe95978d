"""Writer of a trial's status, kept up to date on disk."""

import dataclasses
import os
import socket
from pathlib import Path

from hma_ft.launch.sweep import LaunchSpec
from hma_ft.launch.trial_status import TrialStatus, read_trial_status, write_trial_status

ATTEMPTS_WITHOUT_PROGRESS = 3  # in a row: then the time limit is too short for one checkpoint


# Slurm requeues a trial that it interrupted, or whose node died
_CONTINUED = ("running", "requeued", "interrupted")


class TrialStatusWriter:
    """Writes trials/<key>/status.json for one attempt of a trial; only rank 0 writes, except failures."""

    def __init__(self, folder: Path, spec: LaunchSpec, rank: int = 0) -> None:
        self.folder = folder
        self.rank = rank
        before = read_trial_status(folder)
        fresh = TrialStatus(submission=spec.submission)
        if before is not None and before.submission == spec.submission and before.state in _CONTINUED:
            fresh = dataclasses.replace(
                fresh, attempts=before.attempts + 1, idle_attempts=before.idle_attempts, first_step=before.first_step
            )
        self.status = fresh

    @property
    def first_attempt(self) -> bool:
        """Whether this submission of the trial begins here."""
        return self.status.attempts == 1

    def begin(self, *, step: int, code: str) -> None:
        """The attempt starts from `step`."""
        progressed = self.first_attempt or step > self.status.first_step
        idle = 0 if progressed else self.status.idle_attempts + 1
        self._write(state="running", first_step=step, idle_attempts=idle, code=code)

    def finish(self, value: float) -> None:
        """The run is finished."""
        self._write(state="finished", value=value)

    def requeued(self) -> None:
        """The trial waits for its next attempt."""
        self._write(state="requeued")

    def interrupted(self, message: str) -> None:
        """A signal ended it, and nothing starts it again by itself."""
        if not self._failed_elsewhere():
            self._write(state="interrupted", error=message)

    def fail(self, error: str) -> None:
        """It ended by an error. The first process of several to say so is heard."""
        if not self._failed_elsewhere():
            self.status = dataclasses.replace(self.status, state="failed", error=error)
            write_trial_status(self.folder, self.status)

    def _failed_elsewhere(self) -> bool:
        """Whether another process of this attempt has reported a failure: what comes after is its consequence."""
        said = read_trial_status(self.folder)
        mine = (socket.gethostname(), os.getpid())
        return (
            said is not None
            and said.state == "failed"
            and said.submission == self.status.submission
            and (said.host, said.pid) != mine
        )

    def _write(self, **changes: object) -> None:
        self.status = dataclasses.replace(self.status, **changes)  # type: ignore[arg-type]
        if self.rank == 0:
            write_trial_status(self.folder, self.status)
