"""A sweep with stages, as the shell that gives the command sees it: plan, show or start, watch, sum up."""

import sys
from collections.abc import Collection, Sequence

from hma_ft.config import run_directory
from hma_ft.config.schema import SweepConfig
from hma_ft.errors import UserError
from hma_ft.images_now import require_same_images
from hma_ft.launch.advance import next_submission
from hma_ft.launch.backend import Backend
from hma_ft.launch.comparison import compare_if_due
from hma_ft.launch.mlflow_parents import open_parents
from hma_ft.launch.next_stage import hand_over
from hma_ft.launch.staged_plan import StagedPlan, read_state
from hma_ft.launch.staged_planning import Composed, first_attempts, given_and_not_tuned, make_staged_plan
from hma_ft.launch.staged_summary import compared_rows, show_summary
from hma_ft.launch.staged_tables import dry_run_table
from hma_ft.launch.submit import prepare_data, require_status, say_detached
from hma_ft.launch.submit_lock import one_at_a_time
from hma_ft.launch.sweep import Sweep, load_sweep
from hma_ft.launch.sweep_status import TrialRow, goes_on
from hma_ft.launch.tables import console
from hma_ft.launch.watch import watch


def run_staged_sweep(
    composed: Sequence[Composed], settings: SweepConfig, backend: Backend, methods: Collection[str]
) -> list[TrialRow] | None:
    """Run the stages that are not finished and return the trials of the last; None where nothing was waited for.

    `methods` are all that there are. Raises UserError; SystemExit(1) after the summary if it did not come to its end.
    """
    plan, sweep = make_staged_plan(composed, settings, methods)
    for key in given_and_not_tuned(composed, settings):
        print(f"{key} is given by the command: it is not chosen on val")
    backend.demand()  # impossible options are refused before anything is written
    if settings.dry_run:
        console().print(dry_run_table(plan, sweep, backend.demand()))
        return None
    runs_dir = plan.config(first_attempts(plan)[0]).runs_dir
    started = _start(plan, sweep, backend)
    if not settings.wait:
        _say_started(sweep, started)
        say_detached(sweep, sweep.submissions()[-1] if started else None, runs_dir)
        return None
    return _wait(sweep, backend, runs_dir)


def _start(plan: StagedPlan, sweep: Sweep, backend: Backend) -> bool:
    """Start the first stage that isn't finished, unless a process is at it; whether it was started."""
    first = [plan.config(attempt) for attempt in first_attempts(plan)]
    prepare_data(first)
    require_same_images([(run_directory(config), config) for config in first])
    with one_at_a_time(sweep):
        known = load_sweep(sweep.directory)
        if known is not None and goes_on(known):
            print("nothing to launch: another process works on this sweep")
            return False
        if known is None:
            sweep.save()
        plan.save(sweep.directory)
        open_parents(known or sweep, first)
        submission = next_submission(sweep.directory, backend, session=None)
        now = load_sweep(sweep.directory) or sweep
        if submission is not None:
            hand_over(now, submission, backend)
    if submission is None:
        state = read_state(sweep.directory)
        if state.error:
            raise UserError(state.error)
        compare_if_due(now)
        print("nothing to launch: every trial is finished")
    return submission is not None


def _say_started(sweep: Sweep, started: bool) -> None:
    if started:
        stage = read_state(sweep.directory).stage
        print(f"{sweep.directory.name}: stage {stage} launched; the others follow by themselves")


def _wait(sweep: Sweep, backend: Backend, runs_dir: str) -> list[TrialRow]:
    try:
        watch(sweep, backend=backend)
    except KeyboardInterrupt:
        print(f"\n{sweep.directory.name} goes on without this shell.", file=sys.stderr)
        say_detached(sweep, sweep.submissions()[-1], runs_dir)
        raise SystemExit(130) from None
    sweep = load_sweep(sweep.directory) or sweep
    rows = require_status(sweep)
    problems = show_summary(sweep, rows)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        raise SystemExit(1)
    return compared_rows(rows)
