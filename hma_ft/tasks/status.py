"""`task=status sweep=NAME`: a live table of a sweep; on anything but a terminal, the table once."""

from rich.console import Console
from rich.live import Live

from hma_ft.config.schema import Config
from hma_ft.errors import UserError
from hma_ft.launch.backend import backend_of
from hma_ft.launch.parents import close_if_done
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.sweep import Sweep, find_sweeps
from hma_ft.launch.tables import console, counts, failures, standing_table
from hma_ft.launch.view import View, look
from hma_ft.launch.watch import looks


def status(config: Config) -> int:
    """Show the sweep `config.sweep.name`, or list all sweeps without a name. Returns 1 if a trial has failed."""
    sweeps = find_sweeps(config.runs_dir, config.sweep.name)
    if not sweeps:
        wanted = f"named {config.sweep.name} " if config.sweep.name else ""
        raise UserError(f"no sweep {wanted}in {config.runs_dir}/sweeps: give the name and runs_dir it was started with")
    if config.sweep.name is None:
        for sweep in sweeps:
            print(f"{sweep.directory.name}: {counts(_look(sweep))}")
        return 0
    sweep = sweeps[0]
    terminal = console()
    if len(sweeps) > 1:
        others = ", ".join(s.directory.name for s in sweeps[1:])
        print(f"the last of {len(sweeps)} sweeps of that name; the others: sweep.name={others}")
    views = _look(sweep)
    if terminal.is_terminal and any(view.active for view in views):
        views = _live(terminal, sweep)
    close_if_done(sweep)
    terminal.print(standing_table(sweep.directory.name, views))
    ended = failures(views) if not any(view.active for view in views) else []
    print("\n".join(ended), end="\n" if ended else "")
    return 1 if ended else 0


def _look(sweep: Sweep) -> list[View]:
    try:
        return look(sweep)
    except SlurmSilent as error:
        raise UserError(f"Slurm does not answer: {error}") from error


def _live(terminal: Console, sweep: Sweep) -> list[View]:
    backend = backend_of(sweep.submissions()[-1])
    views = []
    try:
        with Live(console=terminal, transient=True, auto_refresh=False) as live:
            for views in looks(sweep, poll_seconds=backend.poll_seconds, grace_seconds=backend.grace_seconds):
                live.update(standing_table(f"{sweep.directory.name} (Ctrl-C leaves it running)", views), refresh=True)
    except KeyboardInterrupt:
        pass
    return views
