"""A trial inside a Slurm job: its ranks, and what a signal means there."""

import os
import signal
from functools import partial
from pathlib import Path

from hma_ft.launch import slurm_commands
from hma_ft.launch.trial import leave, run_trial
from hma_ft.launch.trial_status_writer import ATTEMPTS_WITHOUT_PROGRESS, TrialStatusWriter


class SlurmTrial:
    """What submitit pickles and calls, once a task."""

    def __call__(self, path: str) -> None:
        """Run the trial of the frozen file; a bad end leaves the process, so that Slurm has the exit code."""
        rank = int(os.environ.get("SLURM_PROCID", "0"))
        if int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            from submitit.helpers import TorchDistributedEnvironment

            # every task sees the GPUs of its node and takes the one of LOCAL_RANK
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        code = run_trial(Path(path), rank=rank, on_stop=partial(_stopped, _job_id()))
        if code != 0 or int(os.environ.get("SLURM_NTASKS", "1")) > 1:
            leave(code)


def _job_id() -> str:
    """As scontrol takes it: 12, or 12_3 in an array."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ["SLURM_JOB_ID"]


def _stopped(job: str, status_writer: TrialStatusWriter, signum: int) -> int:
    """Requeue where Slurm will not; returns the exit code.

    SIGUSR2 is the warning before the time limit or a preemption. SIGTERM comes from scancel and scontrol requeue, after
    which Slurm knows what it wants, and from a preemption with grace time, where the job still counts as running.
    """
    if status_writer.rank != 0:
        return 0  # a bad exit code would have srun end rank 0 before it has requeued the job
    name = signal.Signals(signum).name
    if signum != signal.SIGUSR2 and slurm_commands.job_state(job) != "RUNNING":
        status_writer.interrupted(f"stopped by {name}")
        return 128 + signum
    if status_writer.status.idle_attempts >= ATTEMPTS_WITHOUT_PROGRESS:
        status_writer.fail(
            f"{status_writer.status.idle_attempts + 1} attempts in a row got no further than step "
            f"{status_writer.status.first_step}: "
            "raise hydra.launcher.time"
        )
        return 128 + signum
    status_writer.requeued()
    objection = slurm_commands.requeue(job)
    if objection:
        status_writer.interrupted(f"stopped by {name}, and could not be requeued: {objection}")
        return 128 + signum
    return 0
