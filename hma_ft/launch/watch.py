"""Looking at a sweep until its trials have ended. The watcher may die at any time: it only reads."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator

from rich.live import Live

from hma_ft.launch.backend import Backend
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.stage_lines import StageLines
from hma_ft.launch.staged_plan import has_stages
from hma_ft.launch.staged_tables import sweep_table
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep, load_sweep
from hma_ft.launch.sweep_status import TrialRow, goes_on, sweep_status
from hma_ft.launch.tables import console, counts

_IDLE_SHARE = 20  # seconds of sleep for each of work


def poll_status(sweep: Sweep, *, poll_seconds: float, grace_seconds: float) -> Iterator[tuple[Sweep, list[TrialRow]]]:
    """The sweep again and again, until no trial waits or runs and no stage follows.

    A trial without a word of its end is counted as running for `grace_seconds`: another machine's files come late.
    """
    missing: dict[str, float] = {}
    rows: list[TrialRow] = []
    while True:
        began = time.process_time()
        try:
            follows = goes_on(sweep)  # before the trials: what ends in between has written its end by then
            sweep = load_sweep(sweep.directory) or sweep  # a stage adds trials
            rows = sweep_status(sweep)
        except SlurmSilent as error:
            print(f"warning: {error}; looking again", file=sys.stderr)
        else:
            rows = [_with_grace(row, missing, grace_seconds) for row in rows]
            yield sweep, rows
            if not (follows or any(row.active for row in rows)):
                return
        # to look at a hundred trials takes a tenth of a second of the processor that they run on
        time.sleep(max(poll_seconds, _IDLE_SHARE * (time.process_time() - began)))


def _with_grace(row: TrialRow, missing: dict[str, float], grace_seconds: float) -> TrialRow:
    if row.active or row.state is TrialState.finished:
        missing.pop(row.trial.key, None)
        return row
    since = missing.setdefault(row.trial.key, time.monotonic())
    if time.monotonic() - since < grace_seconds:
        return dataclasses.replace(row, state=TrialState.running, note="")
    return row


def watch(
    sweep: Sweep, *, backend: Backend, on_poll: Callable[[list[TrialRow]], None] = lambda rows: None
) -> list[TrialRow]:
    """Show a live table on a terminal, else one line at each change; returns the end."""
    terminal = console()
    rows: list[TrialRow] = []
    polled = poll_status(sweep, poll_seconds=backend.poll_seconds, grace_seconds=backend.grace_seconds)
    if not terminal.is_terminal:
        told: dict[str, TrialState] = {}
        progress = StageLines(backend.slots())
        for sweep, rows in polled:
            on_poll(rows)
            if has_stages(sweep.directory):
                progress.tell(sweep, rows)
            else:
                _tell_changes(rows, told)
        return rows
    with Live(console=terminal, transient=True, auto_refresh=False) as live:
        for sweep, rows in polled:
            on_poll(rows)
            live.update(sweep_table(sweep, rows, backend.slots()), refresh=True)
    return rows


def _tell_changes(rows: list[TrialRow], told: dict[str, TrialState]) -> None:
    if not told:
        print(counts(rows), flush=True)
    for row in rows:
        if told.get(row.trial.key, row.state) is not row.state:
            note = f" ({row.note})" if row.note else ""
            print(f"{row.trial.label}: {row.state}{note} [{counts(rows)}]", flush=True)
        told[row.trial.key] = row.state
