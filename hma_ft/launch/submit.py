"""One behaviour for both launchers: plan, show or freeze, prepare, start, watch, sum up."""

import dataclasses
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hma_ft.config import save_config
from hma_ft.config.schema import Config, SweepConfig
from hma_ft.errors import UserError
from hma_ft.files.waiting_lock import waiting_lock
from hma_ft.launch.backend import Backend
from hma_ft.launch.code_changes import digest_of_changes
from hma_ft.launch.mlflow_parents import close_if_done, open_parents
from hma_ft.launch.options import LocalOptions, SlurmOptions
from hma_ft.launch.plan import Plan, make_plan
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import LaunchSpec, Submission, Sweep, write_record
from hma_ft.launch.sweep_status import TrialRow, sweep_status
from hma_ft.launch.tables import console, failures, plan_table, status_table
from hma_ft.launch.watch import watch
from hma_ft.rundir.environment import git_state

SUBMIT_SECONDS = 600.0  # of another shell: freezing the trials and handing them over


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
        console().print(plan_table(f"{sweep.directory.name} (dry run)", _sweep_status(sweep), backend.demand()))
        _say_what_is_repeated(plan)
        return None
    backend.demand()  # impossible options are refused before anything is written
    _say_what_is_repeated(plan)
    submission = _submit(plan, backend, options, settings)
    if submission is None:
        print("nothing to launch: every trial is finished, or waits or runs already")
    if not settings.wait:
        _say_detached(plan, submission)
        return None
    return _wait(plan, backend, fail_fast=settings.fail_fast)


def _say_what_is_repeated(plan: Plan) -> None:
    """Say how many of the trials that were asked for are runs of others."""
    if plan.repeated:
        print(
            f"{plan.repeated} of {len(plan.keys)} trials repeat another trial's run, as they differ only in settings "
            f"that cannot change it: {len(plan.sweep.trials)} are left"
        )


def _sweep_status(sweep: Sweep) -> list[TrialRow]:
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
    _prepare_data([plan.configs[key] for key in _to_launch(plan)])
    with _one_at_a_time(sweep):
        todo = _to_launch(plan)
        sweep.save()
        if not todo:
            return None
        number = 1 + max((s.number for s in sweep.submissions()), default=0)
        git = git_state()
        submission = Submission(
            number=number,
            launcher=backend.name,
            host=socket.gethostname(),
            options=dataclasses.asdict(options),
            trials=todo,
            code=git,
        )
        parents = open_parents(sweep, [plan.configs[key] for key in todo])
        for key in todo:
            config = plan.configs[key]
            spec = LaunchSpec(
                submission=number,
                fresh=config.fresh,
                fail_fast=settings.fail_fast,
                mlflow_parent=parents.get(config.tracking.experiment),
                commit=git["commit"],
                changes=digest_of_changes(git),
            )
            _freeze(sweep, key, config, spec)
        jobs = backend.submit(sweep, submission)
        submission = dataclasses.replace(submission, jobs=jobs)
        sweep.save_submission(submission)
    return submission


def _to_launch(plan: Plan) -> list[str]:
    """Keys of the trials that nobody works on and that are not finished, or are to be done again."""
    return [
        row.trial.key
        for row in _sweep_status(plan.sweep)
        if not row.active and (row.state is not TrialState.finished or plan.configs[row.trial.key].fresh)
    ]


@contextmanager
def _one_at_a_time(sweep: Sweep) -> Iterator[None]:
    """Two shells with one command submit one after the other. Raises UserError after SUBMIT_SECONDS."""
    try:
        with waiting_lock(sweep.directory / "submit.lock", seconds=SUBMIT_SECONDS, waiting_for="another submission"):
            yield
    except TimeoutError as error:
        raise UserError(
            f"another process has been submitting {sweep.directory.name} for {SUBMIT_SECONDS / 60:.0f} minutes: end "
            "it, or wait for it, and give the same command again"
        ) from error


def _freeze(sweep: Sweep, key: str, config: Config, spec: LaunchSpec) -> None:
    """What the trial will read, and all it will read of the configuration."""
    folder = sweep.trial_directory(key)
    folder.mkdir(parents=True, exist_ok=True)
    # trials that download side by side would corrupt the data: it is there by now
    dataset = dataclasses.replace(config.dataset, download=False)
    save_config(dataclasses.replace(config, dataset=dataset), folder / "config.yaml")
    write_record(folder / "order.json", dataclasses.asdict(spec))


def _prepare_data(configs: Sequence[Config]) -> None:
    """Each data set once, before a trial needs it."""
    from hma_ft.data.prepare import ensure_present

    datasets = {repr(config.dataset): config.dataset for config in configs}
    for dataset in datasets.values():
        ensure_present(dataset)


def _say_detached(plan: Plan, submission: Submission | None) -> None:
    sweep = plan.sweep
    if submission is not None:
        jobs = ", ".join(submission.jobs.values()) or f"process {_supervisor(sweep, submission)}"
        print(f"{sweep.directory.name}: {len(submission.trials)} trials launched ({jobs})")
    runs_dir = next(iter(plan.configs.values())).runs_dir
    which = f"sweep.name={sweep.directory.name}" + ("" if runs_dir == Config.runs_dir else f" runs_dir={runs_dir}")
    print(f"watch it: python run.py task=status {which}")
    print(f"end it:   python run.py task=cancel {which}")


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
        rows = watch(
            sweep, poll_seconds=backend.poll_seconds, grace_seconds=backend.grace_seconds, on_poll=stop_at_failure
        )
    except KeyboardInterrupt:
        print(f"\n{sweep.directory.name} goes on without this shell.", file=sys.stderr)
        _say_detached(plan, sweep.submissions()[-1])
        raise SystemExit(130) from None
    close_if_done(sweep)
    console().print(status_table(sweep.directory.name, rows))
    bad = failures(rows)
    if bad:
        print("\n".join(bad), file=sys.stderr)
        raise SystemExit(1)
    by_key = {row.trial.key: row for row in rows}
    return [by_key[key] for key in plan.keys]
