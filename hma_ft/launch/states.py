"""States of a trial, and of the job that runs it."""

from enum import StrEnum
from typing import NamedTuple


class TrialState(StrEnum):
    """State of a trial."""

    new = "new"
    queued = "queued"
    running = "running"
    continues = "continues"  # cut off; the next submission takes it up at its last checkpoint
    failed = "failed"
    finished = "finished"


class JobState(NamedTuple):
    """State of a trial's job as its launcher knows it, and the reason."""

    state: TrialState
    reason: str = ""  # job id and why it waits; why it ended
