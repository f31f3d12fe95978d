"""The small Slurm job behind a stage: `python -m hma_ft.launch.next_stage SWEEP_FOLDER SUBMISSION`.

It waits in the queue for the stage's array to end, submits the next stage with a job like itself behind it, and after
the last one compares. A controller that does not answer is asked again.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from hma_ft.errors import UserError
from hma_ft.launch.backend import Backend, backend_of
from hma_ft.launch.following import following, record_error
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.sweep import Submission, Sweep, named_submission
from hma_ft.launch.sweep_status import active_jobs

PATIENCE_SECONDS = 1800.0  # with a controller that does not answer
_PAUSE_SECONDS = 10.0
_T = TypeVar("_T")


def start_next_stage(sweep: Sweep, submission: Submission, *, patience: float = PATIENCE_SECONDS) -> None:
    """Submit what follows a stage; after the last, compare. Raises SlurmSilent, UserError."""
    backend = backend_of(submission)
    active = patiently(lambda: active_jobs(sweep), patience)
    if any(key in active for key in submission.trials):  # a trial was requeued meanwhile
        job = patiently(lambda: backend.submit_following(sweep, submission), patience)
        sweep.save_submission(replace(submission, following=job))
        return
    sweep, found = patiently(lambda: following(sweep, submission), patience)
    if found is not None:
        hand_over(sweep, found, backend, patience=patience)


def hand_over(sweep: Sweep, submission: Submission, backend: Backend, *, patience: float = 0.0) -> Submission:
    """Start a submission, and what starts the stage after it; returns it with the ids of its jobs, saved."""
    jobs = patiently(lambda: backend.submit(sweep, submission), patience)
    submission = replace(submission, jobs=jobs)
    sweep.save_submission(submission)
    if submission.stage:
        job = patiently(lambda: backend.submit_following(sweep, submission), patience)
        submission = replace(submission, following=job)
        sweep.save_submission(submission)
    return submission


def patiently(call: Callable[[], _T], seconds: float) -> _T:
    """The call, again while Slurm's controller does not answer, for so many seconds at the most."""
    end = time.monotonic() + seconds
    while True:
        try:
            return call()
        except SlurmSilent as error:
            if time.monotonic() > end:
                raise
            print(f"{error}; trying again", file=sys.stderr, flush=True)
            time.sleep(_PAUSE_SECONDS)


def main(arguments: list[str]) -> int:
    """The command line."""
    named = named_submission("hma_ft.launch.next_stage", arguments)
    if named is None:
        return 2
    try:
        start_next_stage(*named)
    except UserError as error:
        record_error(named[0], error)
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
