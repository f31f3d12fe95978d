"""What comes after a stage has ended, in the process that ran it: the next stage, or the comparison at the end."""

import dataclasses
import traceback

from hma_ft.errors import UserError
from hma_ft.launch.advance import next_submission
from hma_ft.launch.backend import backend_of
from hma_ft.launch.comparison import compare_if_due
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.staged_plan import read_state, write_state
from hma_ft.launch.submit_lock import one_at_a_time
from hma_ft.launch.sweep import Submission, Sweep, load_sweep


def following(sweep: Sweep, submission: Submission) -> tuple[Sweep, Submission | None]:
    """The sweep as it is now, and the next submission, neither saved nor started; None at the end or after a mistake.

    The comparison has been made by then, if one is due. What goes wrong stands in the sweep's state. SlurmSilent is
    raised before anything is done.
    """
    try:
        with one_at_a_time(sweep):
            found = next_submission(sweep.directory, backend_of(submission), session=submission.session)
            sweep = load_sweep(sweep.directory) or sweep
        if found is None:
            compare_if_due(sweep)
        return sweep, found
    except SlurmSilent:
        raise
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        record_error(sweep, error)
        return sweep, None


def record_error(sweep: Sweep, error: Exception) -> None:
    """Leave in the sweep's state why it goes no further."""
    state = read_state(sweep.directory)
    write_state(sweep.directory, dataclasses.replace(state, error=str(error) or type(error).__name__))
