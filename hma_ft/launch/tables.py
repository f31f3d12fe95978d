"""What a person sees of a sweep."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep_status import TrialRow

_FILE_WIDTH = 160  # characters
_STYLES = {
    TrialState.new: "",
    TrialState.queued: "dim",
    TrialState.running: "cyan",
    TrialState.continues: "yellow",
    TrialState.failed: "red",
    TrialState.finished: "green",
}


def console() -> Console:
    """The terminal; a file or pipe, which has no width, gets long lines."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=_FILE_WIDTH)


def status_table(title: str, rows: Sequence[TrialRow]) -> Group:
    """One row a trial: state, step, time left, results, and what there is to say."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for name in ("trial", "state", "step", "left", "val top-1", "test top-1", "note"):
        numeric = name in ("step", "left", "val top-1", "test top-1")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for row in rows:
        state = f"[{_STYLES[row.state]}]{row.state}[/]" if _STYLES[row.state] else str(row.state)
        step = f"{row.step}/{row.max_steps}" if row.max_steps else ""
        left = duration(row.seconds_left) if row.state is TrialState.running else ""
        cells = [escape(row.trial.label), state, step, left, percent(row.val_top1), percent(row.test_top1)]
        table.add_row(*cells, escape(row.note))
    return Group(table, Text(counts(rows)))


def plan_table(title: str, rows: Sequence[TrialRow], demand: dict[str, str]) -> Group:
    """What a submission would launch, and what each trial would ask for."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for name in ("trial", "fingerprint", "state", "step", "note"):
        table.add_column(name, overflow="fold")
    for row in rows:
        step = f"{row.step}/{row.max_steps}" if row.max_steps else ""
        table.add_row(escape(row.trial.label), row.trial.key, str(row.state), step, escape(row.note))
    asked = ", ".join(f"{name}={value}" for name, value in demand.items())
    return Group(table, Text(f"{counts(rows)}. A trial asks for: {asked}"))


def counts(rows: Sequence[TrialRow]) -> str:
    """`3 finished, 1 failed`."""
    number = Counter(row.state for row in rows)
    return ", ".join(f"{number[state]} {state}" for state in reversed(TrialState) if number[state])


def failures(rows: Sequence[TrialRow]) -> list[str]:
    """A line for each trial that has failed or was cut off, under a line that counts them; empty if there are none."""
    ended = [row for row in rows if row.state in (TrialState.failed, TrialState.continues, TrialState.new)]
    if not ended:
        return []
    head = f"{len(ended)} of {len(rows)} trials did not finish; the same command takes up only these:"
    return [head, *(f"  {row.trial.label}: {row.note or row.state}" for row in ended)]


def percent(share: float | None) -> str:
    """0.7512 as 75.12."""
    return "" if share is None else f"{100 * share:.2f}"


def duration(seconds: float | None) -> str:
    """1:02:03 or 2:03."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
