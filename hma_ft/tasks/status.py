"""`task=status sweep=NAME`: a live table of a sweep; on anything but a terminal, the table once."""

from rich.console import Console
from rich.live import Live

from hma_ft.config.schema import Config
from hma_ft.errors import UserError
from hma_ft.launch.backend import backend_of
from hma_ft.launch.mlflow_parents import close_if_done
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.staged_plan import has_stages
from hma_ft.launch.staged_summary import show_summary
from hma_ft.launch.staged_tables import sweep_table
from hma_ft.launch.sweep import Sweep, find_sweeps
from hma_ft.launch.sweep_status import TrialRow, goes_on, sweep_status
from hma_ft.launch.tables import console, counts, failures, status_table
from hma_ft.launch.watch import poll_status


def status(config: Config) -> int:
    """Show the sweep `config.sweep.name`, or list all sweeps without a name. Returns 1 if a trial has failed."""
    sweeps = find_sweeps(config.runs_dir, config.sweep.name)
    if not sweeps:
        wanted = f"named {config.sweep.name} " if config.sweep.name else ""
        raise UserError(f"no sweep {wanted}in {config.runs_dir}/sweeps: give the name and runs_dir it was started with")
    if config.sweep.name is None:
        for sweep in sweeps:
            print(f"{sweep.directory.name}: {counts(_sweep_status(sweep))}")
        return 0
    sweep = sweeps[0]
    terminal = console()
    if len(sweeps) > 1:
        others = ", ".join(s.directory.name for s in sweeps[1:])
        print(f"the last of {len(sweeps)} sweeps of that name; the others: sweep.name={others}")
    rows = _sweep_status(sweep)
    if terminal.is_terminal and (any(row.active for row in rows) or goes_on(sweep)):
        sweep, rows = _live(terminal, sweep)
    close_if_done(sweep)
    if has_stages(sweep.directory):
        problems = show_summary(sweep, rows)
        problems = [] if goes_on(sweep) else problems  # at work, there is nothing to complain of
        print("\n".join(problems), end="\n" if problems else "")
        return 1 if problems else 0
    terminal.print(status_table(sweep.directory.name, rows))
    ended = failures(rows) if not any(row.active for row in rows) else []
    print("\n".join(ended), end="\n" if ended else "")
    return 1 if ended else 0


def _sweep_status(sweep: Sweep) -> list[TrialRow]:
    try:
        return sweep_status(sweep)
    except SlurmSilent as error:
        raise UserError(f"Slurm does not answer: {error}") from error


def _live(terminal: Console, sweep: Sweep) -> tuple[Sweep, list[TrialRow]]:
    backend = backend_of(sweep.submissions()[-1])
    rows: list[TrialRow] = []
    polled = poll_status(sweep, poll_seconds=backend.poll_seconds, grace_seconds=backend.grace_seconds)
    try:
        with Live(console=terminal, transient=True, auto_refresh=False) as live:
            for sweep, rows in polled:
                live.update(sweep_table(sweep, rows, backend.slots(), " (Ctrl-C leaves it running)"), refresh=True)
    except KeyboardInterrupt:
        pass
    return sweep, rows
