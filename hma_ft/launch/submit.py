"""One behaviour for both launchers: plan, show or freeze, prepare, start, watch, sum up."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from hma_ft.config.schema import Config, SweepConfig
from hma_ft.errors import UserError
from hma_ft.images_now import require_same_images
from hma_ft.launch.backend import Backend
from hma_ft.launch.mlflow_parents import close_if_done, open_parents
from hma_ft.launch.options import LocalOptions, SlurmOptions
from hma_ft.launch.plan import Plan, make_plan
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.states import TrialState
from hma_ft.launch.submission import new_submission
from hma_ft.launch.submit_lock import one_at_a_time
from hma_ft.launch.sweep import Submission, Sweep
from hma_ft.launch.sweep_status import TrialRow, sweep_status
from hma_ft.launch.tables import console, failures, plan_table, status_table
from hma_ft.launch.watch import watch


def run_sweep(
    jobs: Sequence[tuple[Sequence[str], Config]], backend: Backend, options: LocalOptions | SlurmOptions
) -> list[TrialRow] | None:
    """Run the trials that are not finished and return how each job came out, in the order given.

    None where nothing was waited for (`sweep.dry_run`, `sweep.wait=false`). Raises UserError; SystemExit(1) after the
    summary if a trial did not finish.
    """
    plan = make_plan(jobs)
    settings = jobs[0][1].sweep
    sweep = plan.sweep
    if settings.dry_run:
        console().print(plan_table(f"{sweep.directory.name} (dry run)", require_status(sweep), backend.demand()))
        _say_what_is_repeated(plan)
        return None
    backend.demand()  # impossible options are refused before anything is written
    _say_what_is_repeated(plan)
    submission = _submit(plan, backend, options, settings)
    if submission is None:
        print("nothing to launch: every trial is finished, or waits or runs already")
    if not settings.wait:
        say_detached(plan.sweep, submission, _runs_dir(plan))
        return None
    return _wait(plan, backend, fail_fast=settings.fail_fast)


def _say_what_is_repeated(plan: Plan) -> None:
    """Say how many of the trials that were asked for are runs of others."""
    if plan.repeated:
        print(
            f"{plan.repeated} of {len(plan.keys)} trials repeat another trial's run, as they differ only in settings "
            f"that cannot change it: {len(plan.sweep.trials)} are left"
        )


def require_status(sweep: Sweep) -> list[TrialRow]:
    """The trials of a sweep; UserError where Slurm does not answer."""
    try:
        return sweep_status(sweep)
    except SlurmSilent as error:
        raise UserError(f"Slurm does not answer, so what is queued cannot be told: {error}") from error


def _submit(
    plan: Plan, backend: Backend, options: LocalOptions | SlurmOptions, settings: SweepConfig
) -> Submission | None:
    """Freeze and start what is neither finished nor in somebody's hands; None if there is nothing."""
    sweep = plan.sweep
    # hours of download would keep a second shell with the same command, or its other trials, waiting for the lock
    prepare_data([plan.configs[key] for key in _to_launch(plan)])
    require_same_images([(Path(trial.directory), plan.configs[trial.key]) for trial in sweep.trials])
    with one_at_a_time(sweep):
        todo = _to_launch(plan)
        sweep.save()
        if not todo:
            return None
        submission = new_submission(
            sweep,
            {key: plan.configs[key] for key in todo},
            backend.name,
            dataclasses.asdict(options),
            parents=open_parents(sweep, [plan.configs[key] for key in todo]),
            fail_fast=settings.fail_fast,
        )
        jobs = backend.submit(sweep, submission)
        submission = dataclasses.replace(submission, jobs=jobs)
        sweep.save_submission(submission)
    return submission


def _to_launch(plan: Plan) -> list[str]:
    """Keys of the trials that nobody works on and that are not finished, or are to be done again."""
    return [
        row.trial.key
        for row in require_status(plan.sweep)
        if not row.active and (row.state is not TrialState.finished or plan.configs[row.trial.key].fresh)
    ]


def prepare_data(configs: Sequence[Config]) -> None:
    """Each data set once, before a trial needs it."""
    from hma_ft.data.prepare import ensure_present

    datasets = {repr(config.dataset): config.dataset for config in configs}
    for dataset in datasets.values():
        ensure_present(dataset)


def say_detached(sweep: Sweep, submission: Submission | None, runs_dir: str) -> None:
    """Say what was launched, if anything, and how to watch and to end it."""
    if submission is not None:
        jobs = ", ".join(submission.jobs.values()) or f"process {_supervisor(sweep, submission)}"
        print(f"{sweep.directory.name}: {len(submission.trials)} trials launched ({jobs})")
    which = f"sweep.name={sweep.directory.name}" + ("" if runs_dir == Config.runs_dir else f" runs_dir={runs_dir}")
    print(f"watch it: python run.py task=status {which}")
    print(f"end it:   python run.py task=cancel {which}")


def _runs_dir(plan: Plan) -> str:
    return next(iter(plan.configs.values())).runs_dir


def _supervisor(sweep: Sweep, submission: Submission) -> str:
    return (sweep.submission_directory(submission.number) / "started").read_text()


def _wait(plan: Plan, backend: Backend, *, fail_fast: bool) -> list[TrialRow]:
    sweep = plan.sweep

    def stop_at_failure(rows: list[TrialRow]) -> None:
        # a trial that died without a word could not stop the others itself
        if fail_fast and any(v.state is TrialState.failed for v in rows) and any(v.active for v in rows):
            for submission in sweep.submissions():
                if submission.launcher == backend.name:
                    backend.cancel(sweep, submission)

    try:
        rows = watch(sweep, backend=backend, on_poll=stop_at_failure)
    except KeyboardInterrupt:
        print(f"\n{sweep.directory.name} goes on without this shell.", file=sys.stderr)
        say_detached(sweep, sweep.submissions()[-1], _runs_dir(plan))
        raise SystemExit(130) from None
    close_if_done(sweep)
    console().print(status_table(sweep.directory.name, rows))
    bad = failures(rows)
    if bad:
        print("\n".join(bad), file=sys.stderr)
        raise SystemExit(1)
    by_key = {row.trial.key: row for row in rows}
    return [by_key[key] for key in plan.keys]
