"""Looking at a sweep until its trials have ended. The watcher may die at any time: it only reads."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator

from rich.live import Live

from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.tables import console, counts, standing_table
from hma_ft.launch.view import Standing, View, look


def looks(sweep: Sweep, *, poll_seconds: float, grace_seconds: float) -> Iterator[list[View]]:
    """The sweep again and again, until no trial waits or runs.

    A trial without a word of its end is counted as running for `grace_seconds`: another machine's files come late.
    """
    missing: dict[str, float] = {}
    views: list[View] = []
    while True:
        try:
            views = look(sweep)
        except SlurmSilent as error:
            print(f"warning: {error}; looking again", file=sys.stderr)
        else:
            views = [_with_grace(view, missing, grace_seconds) for view in views]
            yield views
            if not any(view.active for view in views):
                return
        time.sleep(poll_seconds)


def _with_grace(view: View, missing: dict[str, float], grace_seconds: float) -> View:
    if view.active or view.standing is Standing.finished:
        missing.pop(view.trial.key, None)
        return view
    since = missing.setdefault(view.trial.key, time.monotonic())
    if time.monotonic() - since < grace_seconds:
        return dataclasses.replace(view, standing=Standing.running, note="")
    return view


def watch(
    sweep: Sweep, *, poll_seconds: float, grace_seconds: float, on_look: Callable[[list[View]], None]
) -> list[View]:
    """Show a live table on a terminal, else one line at each change; returns the end."""
    terminal = console()
    views: list[View] = []
    if not terminal.is_terminal:
        told: dict[str, Standing] = {}
        for views in looks(sweep, poll_seconds=poll_seconds, grace_seconds=grace_seconds):
            on_look(views)
            _tell_changes(views, told)
        return views
    with Live(console=terminal, transient=True, auto_refresh=False) as live:
        for views in looks(sweep, poll_seconds=poll_seconds, grace_seconds=grace_seconds):
            on_look(views)
            live.update(standing_table(sweep.directory.name, views), refresh=True)
    return views


def _tell_changes(views: list[View], told: dict[str, Standing]) -> None:
    if not told:
        print(counts(views), flush=True)
    for view in views:
        if told.get(view.trial.key, view.standing) is not view.standing:
            note = f" ({view.note})" if view.note else ""
            print(f"{view.trial.label}: {view.standing}{note} [{counts(views)}]", flush=True)
        told[view.trial.key] = view.standing
