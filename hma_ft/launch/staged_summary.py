"""How a sweep with stages came out, in the terminal."""

from collections.abc import Sequence

from hma_ft.launch.staged_plan import DONE, read_state
from hma_ft.launch.staged_tables import staged_table, verdict_table
from hma_ft.launch.stages import StageName
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.sweep_status import TrialRow
from hma_ft.launch.tables import console
from hma_ft.launch.verdict import PAGE, read_verdict


def show_summary(sweep: Sweep, rows: Sequence[TrialRow]) -> list[str]:
    """Print how far it is, what was chosen and the verdict; return a line for each thing that keeps it from its end."""
    state = read_state(sweep.directory)
    terminal = console()
    terminal.print(staged_table(sweep, rows))
    for line in state.notes:
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)
    if state.stage == DONE:
        _show_verdict(sweep)
    problems = [state.error] if state.error else []
    if state.stage != DONE and not problems:
        problems.append(f"the sweep ended in stage {state.stage or StageName.first}: the same command takes it up")
    final = compared_rows(rows)
    failed = [row for row in final if row.state is not TrialState.finished]
    if failed:
        problems.append(f"{len(failed)} of {len(final)} trials of the comparison did not finish:")
        problems += [f"  {row.trial.label}: {row.note or row.state}" for row in failed]
    return problems


def compared_rows(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The trials of the last stage."""
    return [row for row in rows if row.trial.stage == StageName.seeds]


def _show_verdict(sweep: Sweep) -> None:
    """Table, sentences, where the page is; nothing of a sweep that doesn't compare."""
    verdict = read_verdict(sweep.directory)
    if verdict is None:
        return
    terminal = console()
    terminal.print(verdict_table(verdict))
    for line in [*verdict.warnings, *verdict.sentences]:
        terminal.print(line, markup=False, highlight=False, soft_wrap=True)
    terminal.print(f"page: {sweep.directory / PAGE}", markup=False, highlight=False, soft_wrap=True)
