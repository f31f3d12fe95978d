"""A trial's own account of itself, kept up to date on disk."""

import dataclasses
import os
import socket
from pathlib import Path

from hma_ft.launch.sweep import Order
from hma_ft.launch.trial_status import TrialStatus, read_trial_status, write_trial_status

PIECES_WITHOUT_PROGRESS = 3  # in a row: then the time limit is too short for one checkpoint


# Slurm requeues a trial that it interrupted, or whose node died
_CONTINUED = ("running", "requeued", "interrupted")


class Witness:
    """Writes trials/<key>/status.json for one piece of a trial; only rank 0 writes, except failures."""

    def __init__(self, folder: Path, order: Order, rank: int = 0) -> None:
        self.folder = folder
        self.rank = rank
        before = read_trial_status(folder)
        fresh = TrialStatus(submission=order.submission)
        if before is not None and before.submission == order.submission and before.state in _CONTINUED:
            fresh = dataclasses.replace(
                fresh, pieces=before.pieces + 1, idle_pieces=before.idle_pieces, first_step=before.first_step
            )
        self.status = fresh

    @property
    def first_piece(self) -> bool:
        """Whether this submission of the trial begins here."""
        return self.status.pieces == 1

    def begin(self, *, step: int, code: str) -> None:
        """The piece starts from `step`."""
        progressed = self.first_piece or step > self.status.first_step
        idle = 0 if progressed else self.status.idle_pieces + 1
        self._write(state="running", first_step=step, idle_pieces=idle, code=code)

    def finish(self, value: float) -> None:
        """The run is finished."""
        self._write(state="finished", value=value)

    def requeued(self) -> None:
        """The trial waits for its next piece."""
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
        """Whether another process of this piece has reported a failure: what comes after is its consequence."""
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
