"""What the two launchers have in common: where trials run, said and ended in the same words."""

from abc import ABC, abstractmethod
from typing import ClassVar

from hma_ft.errors import UserError
from hma_ft.launch.options import LocalOptions, SlurmOptions
from hma_ft.launch.states import JobState, TrialState
from hma_ft.launch.sweep import Submission, Sweep


class Backend(ABC):
    """Runs trials from their frozen files."""

    name: ClassVar[str]
    poll_seconds: ClassVar[float]  # between two looks at a sweep
    grace_seconds: ClassVar[float]  # a file written on another machine may take that long to be seen here

    options: LocalOptions | SlurmOptions

    @abstractmethod
    def slots(self) -> int:
        """Trials at a time, at the most."""

    @abstractmethod
    def demand(self) -> dict[str, str]:
        """What a trial would ask for. Raises UserError for impossible options."""

    @abstractmethod
    def submit(self, sweep: Sweep, submission: Submission) -> dict[str, str]:
        """Start the trials of the submission, so that they live on without this process; returns job ids by key."""

    @abstractmethod
    def job_states(self, sweep: Sweep, submission: Submission) -> dict[str, JobState]:
        """The trials that wait or run. Raises UserError or SlurmSilent where that cannot be told."""

    @abstractmethod
    def cancel(self, sweep: Sweep, submission: Submission) -> None:
        """End what waits or runs; running trials write a checkpoint."""

    def submit_following(self, sweep: Sweep, submission: Submission) -> str:
        """Have the stage after a submission started once that has ended; returns a job id, if that takes a job."""
        return ""

    def goes_on(self, sweep: Sweep, submission: Submission) -> bool:
        """Whether a process will start what comes after the submission, in a sweep with stages."""
        return False

    def exit_reason(self, sweep: Sweep, submission: Submission, key: str) -> JobState:
        """Exit reason of a trial that recorded none."""
        return JobState(TrialState.failed, "its process was killed")


def backend_of(submission: Submission) -> Backend:
    """The backend that made a submission."""
    from hma_ft.launch import local, slurm

    if submission.launcher == local.LocalBackend.name:
        return local.LocalBackend(local.options_of(submission))
    if submission.launcher == slurm.SlurmBackend.name:
        return slurm.SlurmBackend(slurm.options_of(submission))
    raise UserError(f"the sweep was submitted by an unknown launcher: {submission.launcher}")
