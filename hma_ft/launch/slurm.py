"""`hydra/launcher=slurm`: the trials as a job array, through submitit."""

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from hma_ft.errors import UserError
from hma_ft.launch import slurm_commands
from hma_ft.launch.backend import Backend
from hma_ft.launch.last_line import last_line
from hma_ft.launch.local import REPOSITORY
from hma_ft.launch.options import SlurmOptions
from hma_ft.launch.staged_plan import has_further_stages
from hma_ft.launch.states import JobState, TrialState
from hma_ft.launch.sweep import LaunchSpec, Submission, Sweep, load_sweep
from hma_ft.launch.trial_status import TrialStatus, read_trial_status, write_trial_status

_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")

# what a job says of itself would contradict what is asked for the next
_FORGET_JOB = 'conf=$SLURM_CONF; unset "${!SLURM_@}" "${!SBATCH_@}"; [ -z "$conf" ] || export SLURM_CONF=$conf'
_FOLLOWING_TIME = "01:00:00"  # of the job that starts the next stage, or compares

_CUT_OFF = ("CANCELLED", "PREEMPTED", "NODE_FAIL", "REQUEUED")


class SlurmBackend(Backend):
    """Trials as tasks of one job array."""

    name = "slurm"
    poll_seconds = 5.0
    grace_seconds = 15.0

    options: SlurmOptions

    def __init__(self, options: SlurmOptions) -> None:
        self.options = options

    def slots(self) -> int:
        return self.options.array_parallelism

    def demand(self) -> dict[str, str]:
        asked = self._sbatch_options() | self.options.sbatch
        return {k: str(v) for k, v in asked.items() if v is not None}

    def submit(self, sweep: Sweep, submission: Submission) -> dict[str, str]:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from hma_ft.launch.slurm_trial import SlurmTrial

        folder = sweep.submission_directory(submission.number)
        try:
            executor = SlurmExecutor(folder=folder)
            executor.update_parameters(
                **self._sbatch_options(),
                job_name=f"hma-{sweep.name}",
                array_parallelism=self.options.array_parallelism,
                signal_delay_s=self.options.warn_seconds,
                setup=_setup(self.options),
                additional_parameters={"requeue": True, "chdir": sweep.folder, **self.options.sbatch},
                srun_args=["--kill-on-bad-exit=1", f"--cpus-per-task={self.options.cpus}"],
            )
            paths = [str(sweep.trial_directory(key) / "config.yaml") for key in submission.trials]
            jobs = executor.map_array(SlurmTrial(), paths)
        except (FailedJobError, FailedSubmissionError) as error:
            if slurm_commands.is_silence(str(error)):
                raise slurm_commands.SlurmSilent(_last(str(error))) from error
            raise UserError(f"sbatch refused the sweep: {_last(str(error))}") from error
        except RuntimeError as error:  # no srun
            raise UserError(f"{_last(str(error))}: submit from a login node, or use hydra/launcher=local") from error
        return dict(zip(submission.trials, (str(job.job_id) for job in jobs), strict=True))

    def submit_following(self, sweep: Sweep, submission: Submission) -> str:
        folder = sweep.submission_directory(submission.number)
        script = folder / "next_stage.sh"
        command = [sys.executable, "-m", "hma_ft.launch.next_stage", str(sweep.directory), str(submission.number)]
        lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in self._following_options(sweep, folder))]
        script.write_text("\n".join([*lines, *_setup(self.options), _FORGET_JOB, shlex.join(command)]) + "\n")
        (array,) = {job.split("_")[0] for job in submission.jobs.values()}
        return slurm_commands.submit_after(array, str(script))

    def _following_options(self, sweep: Sweep, folder: Path) -> list[str]:
        """A small job, wherever the trials may run; without a GPU."""
        asked = {name: getattr(self.options, name) for name in ("partition", "account", "qos", "constraint")}
        asked |= {"time": _FOLLOWING_TIME, "nodes": 1, "ntasks": 1, "cpus-per-task": 1}
        asked |= {"job-name": f"hma-{sweep.name}-next", "chdir": sweep.folder}
        asked |= {"output": str(folder / "next_stage.log"), "open-mode": "append"}
        given = {name: str(value) for name, value in asked.items() if value is not None}
        return ["--requeue", *(f"--{name}={shlex.quote(value)}" for name, value in given.items())]

    def goes_on(self, sweep: Sweep, submission: Submission) -> bool:
        if not submission.following:
            return False
        job = slurm_commands.queued_jobs([submission.following]).get(submission.following)
        if job is None:
            return False
        # a controller that died in between may show a job as completing for long after its last process
        return job.state != "COMPLETING" or has_further_stages(sweep.directory)

    def job_states(self, sweep: Sweep, submission: Submission) -> dict[str, JobState]:
        jobs = slurm_commands.queued_jobs(submission.jobs.values())
        job_states = {}
        for key, job in submission.jobs.items():
            if job not in jobs:
                continue
            status = read_trial_status(sweep.trial_directory(key))
            said = status.state if status is not None and status.submission == submission.number else ""
            if said in ("finished", "failed"):
                continue
            state = jobs[job]
            if state.state in _WAITING:
                job_states[key] = JobState(
                    TrialState.queued, f"job {job}" + (f" ({state.reason})" if state.reason else "")
                )
            else:
                job_states[key] = JobState(TrialState.running, f"job {job}")
        return job_states

    def cancel(self, sweep: Sweep, submission: Submission) -> None:
        if self.goes_on(sweep, submission):  # first: it would take the end of the trials for that of the stage
            slurm_commands.cancel([submission.following])
        job_states = self.job_states(sweep, submission)
        objection = slurm_commands.cancel(submission.jobs[key] for key in job_states) if job_states else ""
        if objection:
            raise UserError(f"scancel: {_last(objection)}")
        for key in (
            key for key, job in job_states.items() if job.state is TrialState.queued
        ):  # nobody else will say it
            status = TrialStatus(submission=submission.number, state="cancelled", error="cancelled")
            write_trial_status(sweep.trial_directory(key), status)

    def exit_reason(self, sweep: Sweep, submission: Submission, key: str) -> JobState:
        job = submission.jobs.get(key)
        if job is None:
            return JobState(TrialState.failed, "it was not submitted")
        state = slurm_commands.ended_jobs([job]).get(job)
        line = last_line(sweep.submission_directory(submission.number) / f"{job}_0_log.err")
        said = f"{state.state}, {state.reason}" if state is not None else "it left the queue"
        reason = f"Slurm job {job}: {said}" + (f": {line}" if line else "")
        if state is None:  # no accounting, or not yet: what has begun has left a line
            status = read_trial_status(sweep.trial_directory(key))
            began = status is not None and status.submission == submission.number
            return JobState(TrialState.failed if began or line else TrialState.continues, reason)
        return JobState(TrialState.continues if state.state in _CUT_OFF else TrialState.failed, reason)

    def _sbatch_options(self) -> dict[str, Any]:
        """By submitit's names. Raises UserError."""
        options = self.options
        for name in ("nodes", "tasks_per_node", "cpus", "array_parallelism"):
            if getattr(options, name) < 1:
                raise UserError(f"hydra.launcher.{name}={getattr(options, name)} must be at least 1")
        return {
            "partition": options.partition,
            "account": options.account,
            "qos": options.qos,
            "constraint": options.constraint,
            "time": options.time,
            "nodes": options.nodes,
            "ntasks_per_node": options.tasks_per_node,
            "gpus_per_node": options.gpus,
            "cpus_per_task": options.cpus,
            "mem": None if options.memory_gb is None else f"{round(options.memory_gb * 1024)}M",
        }


def _setup(options: SlurmOptions) -> list[str]:
    """Lines before srun: the user's, of which none may fail, and where Python finds this code."""
    guarded = []
    if options.setup:
        guarded = [
            """trap 'echo "setup failed with exit code $?: $BASH_COMMAND" >&2; exit 1' ERR""",
            *options.setup,
            "trap - ERR",
        ]
    return [
        *guarded,
        f"export PYTHONPATH={shlex.quote(str(REPOSITORY))}${{PYTHONPATH:+:$PYTHONPATH}}",
        f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{options.cpus}}}",
    ]


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


def cancel_others(folder: Path, spec: LaunchSpec) -> None:
    """End the other jobs of this trial's submission, from within the trial (`sweep.fail_fast`)."""
    sweep = load_sweep(folder.parent.parent)
    submission = sweep.submission(spec.submission) if sweep is not None else None
    if submission is not None and "SLURM_JOB_ID" in os.environ:
        others = [job for key, job in submission.jobs.items() if key != folder.name]
        if others:
            slurm_commands.cancel(others)


def options_of(submission: Submission) -> SlurmOptions:
    """The options that a submission was made with."""
    known = {f.name for f in dataclasses.fields(SlurmOptions)}
    return SlurmOptions(**{k: v for k, v in submission.options.items() if k in known})
