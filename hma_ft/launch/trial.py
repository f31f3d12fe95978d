"""One trial of a sweep, from its frozen file: `python -m hma_ft.launch.trial runs/sweeps/NAME/trials/KEY/config.yaml`.

Exit code: 0 finished, 2 an error of the user's, 1 another error, 128 + n stopped by signal n.
"""

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hma_ft.config.schema import Config
from hma_ft.errors import Interrupted, UserError
from hma_ft.launch.code_changes import code_changed
from hma_ft.launch.sweep import LaunchSpec, load_sweep, read_record
from hma_ft.launch.trial_status_writer import TrialStatusWriter

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class _Stop(BaseException):
    """A signal outside the engine's care. No `except Exception` on the way may take it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def run_trial(path: Path, *, on_stop: Callable[[TrialStatusWriter, int], int], rank: int = 0) -> int:
    """Run the frozen configuration to its end and return the exit code.

    After a signal it is that of `on_stop(status_writer, signum)`.

    Raises UserError if the trial's files cannot be read.
    """
    # as conf/config.yaml has it: of other libraries warnings alone
    logging.basicConfig(level=logging.WARNING, format="[%(asctime)s] %(message)s", stream=sys.stdout)
    logging.getLogger("hma_ft").setLevel(logging.INFO)
    folder = path.absolute().parent
    spec = read_record(folder / "order.json", LaunchSpec)
    if spec is None:
        raise UserError(f"{folder} has no readable order.json beside its configuration: submit the sweep again")
    status_writer = TrialStatusWriter(folder, spec, rank)
    try:
        _stop_on_signals()
        value = _run(path, spec, status_writer)
        ignore_signals()
    except (_Stop, Interrupted) as stop:
        ignore_signals()  # the end is being written; Slurm signals more than once
        return on_stop(status_writer, stop.signum)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return _failed(status_writer, str(error), folder, spec, code=2)
    except Exception as error:
        traceback.print_exc()
        return _failed(status_writer, _last_line(error), folder, spec, code=1)
    status_writer.finish(value)
    if rank == 0:
        _close_parents(folder)
    return 0


def _run(path: Path, spec: LaunchSpec, status_writer: TrialStatusWriter) -> float:
    """Returns val top-1."""
    from hma_ft.config import load_config, run_directory
    from hma_ft.rundir.environment import git_state
    from hma_ft.rundir.status import read_status

    config = load_config(path)
    config.fresh = spec.fresh and status_writer.first_attempt  # a requeued trial continues
    directory = run_directory(config)
    code = ""
    if status_writer.rank == 0:
        _wait_for_holder(directory)
        code = code_changed(spec, git_state())
        if code:
            print(f"warning: {code}", file=sys.stderr)
    status = None if config.fresh else read_status(directory)
    status_writer.begin(step=status.step if status else 0, code=code)
    if spec.mlflow_parent:
        os.environ["HMA_MLFLOW_PARENT"] = spec.mlflow_parent
    return _experiment(config)


def _experiment(config: Config) -> float:
    from hma_ft import experiment  # torch comes with it

    return float(experiment.run(config).val_top1)


def _wait_for_holder(directory: Path) -> None:
    """The same run may be a trial of another sweep that runs now; then its result is reported when it is there."""
    from hma_ft.files.lock import is_held

    said = False
    while is_held(directory):
        if not said:
            print(f"{directory} is being run by another process; waiting for it", file=sys.stderr)
        said = True
        time.sleep(1)


def _failed(status_writer: TrialStatusWriter, error: str, folder: Path, spec: LaunchSpec, *, code: int) -> int:
    status_writer.fail(error)
    if spec.fail_fast:
        from hma_ft.launch.slurm import cancel_others  # on this machine the supervisor does it

        cancel_others(folder, spec)
    if status_writer.rank == 0:
        _close_parents(folder)
    return code


def _close_parents(folder: Path) -> None:
    """The last trial of a sweep ends its parent run in MLflow."""
    sweep = load_sweep(folder.parent.parent)
    if sweep is not None:
        from hma_ft.launch.mlflow_parents import close_if_done

        close_if_done(sweep)


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__


def _stop_on_signals() -> None:
    """From here until the engine takes over, a signal unwinds the stack."""
    owner = os.getpid()

    def stop(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:  # loader processes inherit the handler, and leave when their parent does
            raise _Stop(signum)

    for number in SIGNALS:
        signal.signal(number, stop)


def ignore_signals() -> None:
    """What is left to do takes no interruption."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def leave(code: int) -> NoReturn:
    """End the process at once: threads and collective operations of a failed run may never return."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 1:
        print("usage: python -m hma_ft.launch.trial FROZEN.yaml", file=sys.stderr)
        return 2
    try:
        return run_trial(Path(arguments[0]), on_stop=_leave_interrupted)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _leave_interrupted(status_writer: TrialStatusWriter, signum: int) -> int:
    """On this machine nothing starts the trial again by itself; the same sweep command does."""
    status_writer.interrupted(f"stopped by {signal.Signals(signum).name}")
    return 128 + signum


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
