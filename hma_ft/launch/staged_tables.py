"""What a person sees of a sweep with stages: the plan, how far it is, and the verdict."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hma_ft.launch.candidates import Attempt, Candidate, untuned_point
from hma_ft.launch.choosing import attempts_at
from hma_ft.launch.estimate import pace, seconds_of_running, seconds_to_do, to_do
from hma_ft.launch.halving import survivors
from hma_ft.launch.staged_plan import (
    DONE,
    StagedPlan,
    StagedState,
    has_stages,
    read_candidates,
    read_options,
    read_state,
)
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.sweep_status import TrialRow, sweep_status
from hma_ft.launch.tables import counts, duration, percent, plan_table, status_table
from hma_ft.launch.verdict import Verdict
from hma_ft.names import counted

_ENDED = (TrialState.finished, TrialState.failed)


def _table(title: str, *columns: str, left: Sequence[str]) -> Table:
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for name in columns:
        numeric = name not in left
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    return table


def sweep_table(sweep: Sweep, rows: Sequence[TrialRow], slots: int, remark: str = "") -> Group:
    """The live table of any sweep: a row a trial, or a row a candidate where there are stages."""
    if has_stages(sweep.directory):
        return staged_table(sweep, rows, slots)
    return status_table(sweep.directory.name + remark, rows)


def staged_table(sweep: Sweep, rows: Sequence[TrialRow], slots: int = 1) -> Group:
    """One row a candidate: how far its stages are, what was chosen, results; below, the time that is left."""
    state, candidates = read_state(sweep.directory), read_candidates(sweep.directory)
    names = ("", "choosing", "chosen", "comparison", "running", "val top-1", "test top-1", "failed")
    table = _table(sweep.directory.name, *names, left=("", "chosen", "running"))
    for candidate in candidates:
        mine = [row for row in rows if row.trial.candidate == candidate.label]
        table.add_row(*map(escape, _cells(candidate, mine, state)))
    return Group(table, Text(", ".join(filter(None, [_stage(state), counts(rows), time_left(sweep, rows, slots)]))))


def _cells(candidate: Candidate, mine: Sequence[TrialRow], state: StagedState) -> list[str]:
    final = [row for row in mine if row.trial.seed in candidate.seeds]
    choosing = [row for row in mine if row not in final]
    chosen = state.choices.get(candidate.label, "")
    if candidate.label in state.left_out:
        chosen = "left out for want of time"
    running = [row for row in mine if row.state is TrialState.running]
    vals = [row.val_top1 for row in final if row.val_top1 is not None]
    tests = [row.test_top1 for row in final if row.test_top1 is not None]
    failed = sum(row.state is TrialState.failed for row in mine)
    return [
        candidate.label,
        f"{sum(row.state in _ENDED for row in choosing)}/{len(choosing)}" if choosing else "",
        chosen.removeprefix("val chose ").partition("; ")[0],
        f"{sum(row.state in _ENDED for row in final)}/{len(candidate.seeds)}" if final else "",
        ", ".join(_at_work(row) for row in running),
        percent(sum(vals) / len(vals)) if vals else "",
        percent(sum(tests) / len(tests)) if tests else "",
        str(failed or ""),
    ]


def _at_work(row: TrialRow) -> str:
    step = f" {row.step}/{row.max_steps}" if row.max_steps else ""
    return f"seed {row.trial.seed}{step}"


def _stage(state: StagedState) -> str:
    return "" if state.stage in ("", DONE) else f"stage {state.stage}"


def time_left(sweep: Sweep, rows: Sequence[TrialRow], slots: int) -> str:
    """`about 12:30 left`; empty before the first trial of each candidate has told, and at the end."""
    options, state = read_options(sweep.directory), read_state(sweep.directory)
    candidates = read_candidates(sweep.directory)
    if options is None or state.stage == DONE:
        return ""
    attempts = to_do(candidates, rows, state.left_out, options.tuning)
    known = pace(candidates, rows, sweep)
    seconds = seconds_to_do(attempts, known)
    if not attempts or seconds is None:
        return ""
    left = (seconds - seconds_of_running(rows, known, sweep)) / max(1, slots)
    return f"about {duration(max(1.0, left))} left"


def dry_run_table(plan: StagedPlan, sweep: Sweep, demand: dict[str, str]) -> Group:
    """The trials that are sure, with their states, and those that depend on what val chooses."""
    options = plan.options
    sure: dict[str, Attempt] = {}
    for candidate in plan.candidates:
        if candidate.is_tuned and options.tune_seeds:
            first_rung = options.tuning.shares_of(candidate)[0]
            attempts = attempts_at(candidate, candidate.grid.points, options.tune_seeds, first_rung)
        else:
            attempts = [Attempt(candidate, untuned_point(candidate), seed) for seed in candidate.seeds]
        sure |= {plan.trial(attempt).key: attempt for attempt in attempts}
    known = Sweep(sweep.directory, sweep.name, [plan.trial(a) for a in sure.values()], sweep.folder)
    columns = ("", *(["choose"] if options.halving else []), "extend", "seeds")
    depend = _table("Trials that depend on these", *columns, left=columns)
    for candidate in plan.candidates:
        if candidate.is_tuned and options.tune_seeds:
            further = options.extend * len(candidate.grid.values) * len(options.tune_seeds)
            grown = f"up to {counted(further, 'trial')}, where val chooses an end" if further else ""
            best = survivors(len(candidate.grid.points))
            longer = [f"{counted(best * len(options.tune_seeds), 'longer trial')} of the best {best}"]
            longer = longer if candidate.length.steps else [""]
            final = f"{counted(len(candidate.seeds), 'trial')} at what val chooses"
            depend.add_row(escape(candidate.label), *(longer if options.halving else []), grown, final)
    parts: list[Any] = [plan_table(f"{sweep.directory.name} (dry run)", sweep_status(known), demand)]
    parts += [depend] if depend.row_count else []
    if options.compare:
        parts.append(Text(f"At the end the methods are compared with {options.baseline}."))
    return Group(*parts)


def verdict_table(verdict: Verdict) -> Table:
    """What the methods came to, and against the baseline."""
    several = len({row["dataset"] for row in verdict.rows}) > 1
    names = ["data set"] if several else []
    names += [
        "",
        "chosen",
        "seeds",
        f"test {verdict.metric}",
        "95 %",
        f"against {verdict.baseline}",
        "95 % ",
        "verdict",
    ]
    table = _table("Comparison", *names, "from nothing s", left=("data set", "", "chosen", "verdict"))
    for row in verdict.rows:
        cells = [row["dataset"]] if several else []
        cells += [row["group"], row["chosen"], str(row["seeds"]), _points(row["mean"]), _interval(row, "low", "high")]
        cells += [_points(row["difference"], sign=True), _interval(row, "difference_low", "difference_high", sign=True)]
        cost = row["from_nothing_s"]
        table.add_row(*map(escape, [*cells, row["verdict"], "" if cost is None else f"{cost:.1f}"]))
    return table


def _points(value: float | None, *, sign: bool = False) -> str:
    return "" if value is None else f"{100 * value:{'+' if sign else ''}.2f}"


def _interval(row: dict[str, Any], low: str, high: str, *, sign: bool = False) -> str:
    ends = _points(row[low], sign=sign), _points(row[high], sign=sign)
    return " to ".join(ends) if all(ends) else ""
