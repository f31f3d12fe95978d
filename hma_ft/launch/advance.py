"""From one stage of a sweep to the next: what the records say, what follows from it, what is launched.

Called by the shell that gives the command, and after each stage by the process that ran it. All is found anew in the
records each time.
"""

import dataclasses
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from hma_ft.config import check
from hma_ft.errors import UserError
from hma_ft.images_now import require_same_images
from hma_ft.launch.backend import Backend
from hma_ft.launch.candidates import Attempt
from hma_ft.launch.estimate import fit_budget, pace, seconds_to_do, to_do
from hma_ft.launch.mlflow_parents import known_parents
from hma_ft.launch.outcomes import Outcomes
from hma_ft.launch.staged_plan import COMPARE, DONE, StagedPlan, StagedState, load_plan, read_state, write_state
from hma_ft.launch.stages import Progress, StageName, progress
from hma_ft.launch.submission import new_submission
from hma_ft.launch.sweep import Submission, Sweep, Trial, load_sweep
from hma_ft.launch.sweep_status import sweep_status
from hma_ft.launch.tables import duration
from hma_ft.names import counted


def next_submission(directory: Path, backend: Backend, *, session: int | None) -> Submission | None:
    """The trials that are next, frozen; None after the last stage, or where nothing can go on (the state says why).

    `session` is the first submission of the command that goes on, None where it begins: then what has failed before is
    tried again. Hold the sweep's submission lock. Raises UserError.
    """
    plan = load_plan(directory)
    sweep = load_sweep(directory)
    if sweep is None:
        raise UserError(f"{directory} has no readable sweep.json: give the command of the sweep again")
    is_decided = read_state(directory).stage in (StageName.seeds, COMPARE, DONE)
    outcomes = Outcomes(plan, sweep, session, is_decided=is_decided)
    state = _state(plan, directory, session)
    made = _progress(plan, outcomes, state)
    if not state.estimate and len(made.stages) > 1:
        sweep = _with_trials(sweep, plan, made)
        state = _estimated(plan, sweep, state, backend.slots())
        made = _progress(plan, outcomes, state)
    sweep = _with_trials(sweep, plan, made)
    decided = made.present is None or made.present.name is StageName.seeds  # until then a grid may grow
    choices = {label: choice.in_words() for label, choice in made.choices.items()} if decided else {}
    stage = made.present.name.value if made.present is not None else COMPARE if plan.options.compare else DONE
    state = dataclasses.replace(state, stage=stage, choices=choices)
    submission = None
    if made.present is not None:
        if made.present.name is not StageName.first:  # of which the command has seen to it
            _require_same_images(plan, outcomes, made.present.attempts)
        submission, error = _submission(plan, sweep, outcomes, made.present.attempts, backend, stage, session)
        state = dataclasses.replace(state, error=error)
    if session is None and submission is not None:
        state = dataclasses.replace(state, session=submission.number)
    write_state(directory, state)
    return submission


def _state(plan: StagedPlan, directory: Path, session: int | None) -> StagedState:
    """That of the command which goes on, or the first of one that begins; for the same budget the same are left out."""
    state, budget = read_state(directory), plan.options.budget_minutes
    if session is not None:
        return state
    return StagedState(left_out=state.left_out if state.budget_minutes == budget else [], budget_minutes=budget)


def _progress(plan: StagedPlan, outcomes: Outcomes, state: StagedState) -> Progress:
    return progress(plan.candidates, outcomes.of, plan.options.tuning, left_out=state.left_out)


def _with_trials(sweep: Sweep, plan: StagedPlan, made: Progress) -> Sweep:
    """The sweep with the trials of all stages so far, saved. A trial of two stages belongs to the later one."""
    trials: dict[str, Trial] = {}
    for stage in made.stages:
        for attempt in stage.attempts:
            trial = plan.trial(attempt, stage.name)
            trials[trial.key] = trial
    sweep = dataclasses.replace(sweep, trials=list(trials.values()))
    sweep.save()
    return sweep


def _require_same_images(plan: StagedPlan, outcomes: Outcomes, attempts: Sequence[Attempt]) -> None:
    """UserError where trials that others have finished are of other images than those of this sweep."""
    others = [attempt for attempt in attempts if outcomes.of(attempt).finished and not outcomes.is_mine(attempt)]
    require_same_images([(Path(plan.trial(attempt).directory), plan.config(attempt)) for attempt in others])


def _submission(
    plan: StagedPlan,
    sweep: Sweep,
    outcomes: Outcomes,
    attempts: Sequence[Attempt],
    backend: Backend,
    stage: str,
    session: int | None,
) -> tuple[Submission | None, str]:
    """A submission of what has not ended; else why there is none."""
    waiting = [attempt for attempt in attempts if not outcomes.of(attempt).ended]
    todo = [attempt for attempt in waiting if not outcomes.is_queued(attempt)]
    cut_off = [attempt for attempt in todo if outcomes.is_mine(attempt)]
    if cut_off:
        return None, f"{counted(len(cut_off), 'trial')} cut off in stage {stage}: the same command takes up the sweep"
    if not todo:
        return None, f"{counted(len(waiting), 'trial')} of stage {stage} still waited for: give the same command then"
    configs = {plan.trial(attempt).key: plan.config(attempt) for attempt in todo}
    mistakes = dict.fromkeys(mistake for config in configs.values() for mistake in check(config))
    if mistakes:
        raise UserError("\n".join(mistakes))
    submission = new_submission(
        sweep,
        configs,
        backend.name,
        dataclasses.asdict(backend.options),
        parents=known_parents(sweep),
        fail_fast=plan.options.fail_fast,
        stage=stage,
        session=session,
    )
    return submission, ""


def _estimated(plan: StagedPlan, sweep: Sweep, state: StagedState, slots: int) -> StagedState:
    """Say how long the rest takes, and leave out what the budget has no room for."""
    rows = sweep_status(sweep)
    known = pace(plan.candidates, rows, sweep)
    attempts = to_do(plan.candidates, rows, state.left_out, plan.options.tuning)
    attempts = [trial for trial in attempts if trial.candidate.label in known.seconds]
    if not attempts:
        return state
    needed = (seconds_to_do(attempts, known) or 0.0) / slots
    words = f"the {counted(len(attempts), 'trial')} that are left take about {duration(needed)}"
    if plan.options.budget_minutes is None:
        return dataclasses.replace(state, estimate=words)
    spent = _seconds_since_start(sweep, state)
    left = max(0.0, 60 * plan.options.budget_minutes - spent)
    left_out, kept = fit_budget(attempts, known, seconds=left * slots, baseline=plan.options.baseline)
    needed = (seconds_to_do(kept, known) or 0.0) / slots
    if left_out:
        words += f"; for want of time (sweep.budget_minutes={plan.options.budget_minutes:g}) "
        words += f"{', '.join(c.label for c in left_out)} {'is' if len(left_out) == 1 else 'are'} left out, and the "
        words += f"{counted(len(kept), 'trial')} of the others take about {duration(needed)}"
    if needed > left:
        words += ", which is still more than the budget"
    labels = [*state.left_out, *(candidate.label for candidate in left_out)]
    return dataclasses.replace(state, estimate=words, left_out=labels)


def _seconds_since_start(sweep: Sweep, state: StagedState) -> float:
    first = sweep.submission(state.session)
    return time.time() - datetime.fromisoformat(first.created).timestamp() if first is not None else 0.0
