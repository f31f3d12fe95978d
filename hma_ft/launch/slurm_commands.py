"""Slurm's command line, asked with care: a controller that does not answer is not a job that is gone."""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from hma_ft.errors import UserError


@dataclass(frozen=True)
class SlurmJob:
    """What squeue or sacct says of a job."""

    state: str  # PENDING, RUNNING, COMPLETING, CANCELLED, OUT_OF_MEMORY, ...
    reason: str = ""


class SlurmSilent(UserError):
    """The controller did not answer."""


def _call(*command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise UserError(
            f"{command[0]} is not on this machine: use hydra/launcher=local, or submit from a login node"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmSilent(f"{command[0]} did not answer within {timeout:.0f} s") from error


_SILENCE = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Zero Bytes were transmitted",
)


def is_silence(message: str) -> bool:
    """Whether one of Slurm's commands failed because the controller did not answer."""
    return any(sign in message for sign in _SILENCE)


def submit_after(job: str, script: str) -> str:
    """Submit a batch script that starts once a job, all tasks of its array, has ended however; returns its id.

    Raises SlurmSilent, UserError.
    """
    done = _call("sbatch", "--parsable", f"--dependency=afterany:{job}", script)
    if done.returncode:
        message = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise (
            SlurmSilent(message) if is_silence(done.stderr) else UserError(f"sbatch refused the next stage: {message}")
        )
    return done.stdout.strip().split(";")[0]


def _main_ids(jobs: Iterable[str]) -> str:
    """`12_0 12_1 15` -> `12,15`: asking for the array asks for all its tasks."""
    return ",".join(sorted({job.split("_")[0] for job in jobs}))


def queued_jobs(jobs: Iterable[str]) -> dict[str, SlurmJob]:
    """State of those jobs that wait, run or end at this moment, by job id. Raises SlurmSilent."""
    ids = _main_ids(jobs)
    if not ids:
        return {}
    done = _call("squeue", "--noheader", "--array", "--jobs", ids, "--format", "%i|%T|%r")
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise SlurmSilent(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "squeue failed")
    rows = (line.strip().split("|") for line in done.stdout.splitlines() if line.count("|") == 2)
    return {job: SlurmJob(state, "" if reason == "None" else reason) for job, state, reason in rows}


def ended_jobs(jobs: Iterable[str]) -> dict[str, SlurmJob]:
    """State of the jobs in the accounting; empty on a cluster without."""
    ids = _main_ids(jobs)
    if not ids:
        return {}
    try:
        done = _call(
            "sacct", "--noheader", "--parsable2", "--allocations", "--jobs", ids, "--format", "JobID,State,ExitCode"
        )
    except (SlurmSilent, UserError):
        return {}
    rows = (line.split("|") for line in done.stdout.splitlines() if line.count("|") == 2)
    return {job: SlurmJob(state.split()[0], f"exit code {code}") for job, state, code in rows if state}


def job_state(job: str) -> str:
    """State of one job; empty if Slurm doesn't say."""
    try:
        done = _call("scontrol", "--oneliner", "show", "job", job, timeout=10)
    except (SlurmSilent, UserError):
        return ""
    found = re.search(r"JobState=(\w+)", done.stdout)
    return found.group(1) if found else ""


def requeue(job: str) -> str:
    """Put a running job back into the queue; returns what Slurm objects, empty if nothing."""
    try:
        done = _call("scontrol", "requeue", job)
    except (SlurmSilent, UserError) as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""


def cancel(jobs: Iterable[str]) -> str:
    """End the jobs; returns what Slurm objects, empty if nothing."""
    done = _call("scancel", *sorted(jobs))
    return done.stderr.strip() if done.returncode else ""
