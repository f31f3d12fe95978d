"""`task=cancel sweep=NAME`: end what waits or runs of a sweep; running trials write a checkpoint first."""

from hma_ft.config.schema import Config
from hma_ft.errors import UserError
from hma_ft.launch.backend import backend_of
from hma_ft.launch.slurm_commands import SlurmSilent
from hma_ft.launch.sweep import find_sweeps
from hma_ft.launch.sweep_status import sweep_status


def cancel(config: Config) -> int:
    """Cancel the sweep `config.sweep.name` that was submitted last. Returns 0."""
    if config.sweep.name is None:
        raise UserError("task=cancel needs a sweep: add sweep=NAME or sweep.name=NAME (task=status lists them)")
    sweeps = find_sweeps(config.runs_dir, config.sweep.name)
    if not sweeps:
        raise UserError(f"no sweep named {config.sweep.name} in {config.runs_dir}/sweeps")
    sweep = sweeps[0]
    try:
        active = sum(row.active for row in sweep_status(sweep))
        for submission in sweep.submissions():
            backend_of(submission).cancel(sweep, submission)
    except SlurmSilent as error:
        raise UserError(f"Slurm does not answer: {error}") from error
    print(f"{sweep.directory.name}: {active} trials cancelled; the command that started it takes it up again")
    return 0
