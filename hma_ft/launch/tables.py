"""What a person sees of a sweep."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hma_ft.launch.view import Standing, View

_FILE_WIDTH = 160  # characters
_STYLES = {
    Standing.new: "",
    Standing.queued: "dim",
    Standing.running: "cyan",
    Standing.continues: "yellow",
    Standing.failed: "red",
    Standing.finished: "green",
}


def console() -> Console:
    """The terminal; a file or pipe, which has no width, gets long lines."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=_FILE_WIDTH)


def standing_table(title: str, views: Sequence[View]) -> Group:
    """One row a trial: how it stands, step, time left, results, and what there is to say."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for name in ("trial", "state", "step", "left", "val top-1", "test top-1", "note"):
        numeric = name in ("step", "left", "val top-1", "test top-1")
        table.add_column(name, justify="right" if numeric else "left", no_wrap=numeric, overflow="fold")
    for view in views:
        standing = f"[{_STYLES[view.standing]}]{view.standing}[/]" if _STYLES[view.standing] else str(view.standing)
        step = f"{view.step}/{view.max_steps}" if view.max_steps else ""
        left = duration(view.seconds_left) if view.standing is Standing.running else ""
        row = [escape(view.trial.label), standing, step, left, percent(view.val_top1), percent(view.test_top1)]
        table.add_row(*row, escape(view.note))
    return Group(table, Text(counts(views)))


def plan_table(title: str, views: Sequence[View], demand: dict[str, str]) -> Group:
    """What a submission would launch, and what each trial would ask for."""
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE, pad_edge=False)
    for name in ("trial", "fingerprint", "state", "step", "note"):
        table.add_column(name, overflow="fold")
    for view in views:
        step = f"{view.step}/{view.max_steps}" if view.max_steps else ""
        table.add_row(escape(view.trial.label), view.trial.key, str(view.standing), step, escape(view.note))
    asked = ", ".join(f"{name}={value}" for name, value in demand.items())
    return Group(table, Text(f"{counts(views)}. A trial asks for: {asked}"))


def counts(views: Sequence[View]) -> str:
    """`3 finished, 1 failed`."""
    number = Counter(view.standing for view in views)
    return ", ".join(f"{number[standing]} {standing}" for standing in reversed(Standing) if number[standing])


def failures(views: Sequence[View]) -> list[str]:
    """A line for each trial that has failed or was cut off, under a line that counts them; empty if there are none."""
    ended = [view for view in views if view.standing in (Standing.failed, Standing.continues, Standing.new)]
    if not ended:
        return []
    head = f"{len(ended)} of {len(views)} trials did not finish; the same command takes up only these:"
    return [head, *(f"  {view.trial.label}: {view.note or view.standing}" for view in ended)]


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
