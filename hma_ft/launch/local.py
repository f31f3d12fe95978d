"""`hydra/launcher=local`: a supervisor process of its own session runs the trials; the shell only watches."""

import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from hma_ft.errors import UserError
from hma_ft.files.lock import is_held
from hma_ft.launch.backend import Backend
from hma_ft.launch.options import LocalOptions
from hma_ft.launch.states import JobState, TrialState
from hma_ft.launch.sweep import Submission, Sweep
from hma_ft.launch.trial_status import read_trial_status

REPOSITORY = Path(__file__).resolve().parents[2]


class LocalBackend(Backend):
    """Trials as processes of this machine."""

    name = "local"
    poll_seconds = 1.0
    grace_seconds = 0.0

    options: LocalOptions

    def __init__(self, options: LocalOptions) -> None:
        self.options = options

    def slots(self) -> int:
        return job_slots(self.options.n_jobs, visible_gpus())

    def demand(self) -> dict[str, str]:
        return {"jobs at a time": str(self.slots()), "GPUs": ", ".join(visible_gpus()) or "none"}

    def submit(self, sweep: Sweep, submission: Submission) -> dict[str, str]:
        sweep.save_submission(submission)
        directory = sweep.submission_directory(submission.number)
        with open(directory / "supervisor.log", "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "hma_ft.launch.supervisor", str(sweep.directory), str(submission.number)],
                cwd=sweep.folder,
                env=environment_with_code(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # neither Ctrl-C nor the end of the shell reaches it
            )
        started = directory / "started"
        while not started.exists():
            if process.poll() is not None and not started.exists():
                raise UserError(f"the supervisor of the sweep ended at once; see {directory / 'supervisor.log'}")
            time.sleep(0.05)
        return {}

    def job_states(self, sweep: Sweep, submission: Submission) -> dict[str, JobState]:
        if submission.host != socket.gethostname() or not is_held(sweep.submission_directory(submission.number)):
            return {}
        job_states = {}
        for key in submission.trials:
            status = read_trial_status(sweep.trial_directory(key))
            started = status is not None and status.submission == submission.number
            if not started:
                job_states[key] = JobState(TrialState.queued)
            elif status is not None and not status.ended:
                job_states[key] = JobState(TrialState.running)
        return job_states

    def goes_on(self, sweep: Sweep, submission: Submission) -> bool:
        return submission.host == socket.gethostname() and is_held(sweep.submission_directory(submission.number))

    def cancel(self, sweep: Sweep, submission: Submission) -> None:
        directory = sweep.submission_directory(submission.number)
        if submission.host != socket.gethostname():
            statuses = [read_trial_status(sweep.trial_directory(key)) for key in submission.trials]
            if all(s is not None and (s.ended or s.submission > submission.number) for s in statuses):
                return
            raise UserError(f"sweep {sweep.directory.name} runs on {submission.host}: cancel it there")
        if is_held(directory):
            os.kill(int((directory / "started").read_text()), signal.SIGTERM)
        while is_held(directory):  # it waits for the trials to write their checkpoints
            time.sleep(0.2)


def environment_with_code() -> dict[str, str]:
    """This environment, in which Python finds this code from any folder."""
    paths = [str(REPOSITORY), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them; found without torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name and name != "-1"]
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(i) for i, _ in enumerate(line for line in done.stdout.splitlines() if line.startswith("GPU "))]


def job_slots(jobs: int | None, gpus: list[str]) -> int:
    """Trials at a time. Raises UserError."""
    if jobs is not None and jobs < 1:
        raise UserError(f"hydra.launcher.n_jobs={jobs} must be at least 1")
    return jobs or max(1, len(gpus))


def gpu_of_slot(slot: int, gpus: list[str]) -> dict[str, str]:
    """The environment of the trial in one slot: its GPU."""
    return {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {}


def cpu_share(slots: int) -> dict[str, str]:
    """The environment of all trials: their share of the CPUs, unless the user gave one."""
    if slots == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // slots))}


def options_of(submission: Submission) -> LocalOptions:
    """The options that a submission was made with."""
    known = {f.name for f in dataclasses.fields(LocalOptions)}
    return LocalOptions(**{k: v for k, v in submission.options.items() if k in known})
