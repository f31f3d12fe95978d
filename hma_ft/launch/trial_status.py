"""Status that a trial records of itself; Slurm's answers only fill in what a dead trial could not write."""

import dataclasses
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

from hma_ft.launch.sweep import read_record, write_record
from hma_ft.rundir.status import now

ENDED = ("finished", "failed", "interrupted", "cancelled")


@dataclass(frozen=True)
class TrialStatus:
    """trials/<key>/status.json"""

    submission: int
    state: str = "running"  # running, requeued, finished, failed, interrupted, cancelled
    attempts: int = 1  # processes that worked on it in this submission, one after the other
    idle_attempts: int = 0  # the last so many of them got no step further
    first_step: int = 0  # where the present attempt began
    value: float | None = None  # val top-1
    error: str = ""  # last line
    code: str = ""  # says so if the code has changed since submission
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started: str = field(default_factory=now)  # the present attempt
    updated: str = field(default_factory=now)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be expected from this submission."""
        return self.state in ENDED


def read_trial_status(directory: Path) -> TrialStatus | None:
    """The status in a trial's folder, or None."""
    return read_record(directory / "status.json", TrialStatus)


def write_trial_status(directory: Path, status: TrialStatus) -> None:
    """Replace the status in a trial's folder."""
    write_record(directory / "status.json", dataclasses.asdict(dataclasses.replace(status, updated=now())))
