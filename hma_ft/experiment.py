"""One run: locked, recorded, continued or reported. What happens inside is in `training`."""

import math
import shutil
import sys
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from accelerate import Accelerator

from hma_ft.config.fingerprint import fingerprint, weights_digest
from hma_ft.config.frozen import run_directory
from hma_ft.config.reads import as_read
from hma_ft.config.schema import Config, TrackingConfig
from hma_ft.engine.distributed import create_accelerator
from hma_ft.engine.inputs import mixes_images
from hma_ft.engine.signals import StopRequest, stop_on_signals
from hma_ft.errors import Interrupted, UserError
from hma_ft.files.atomic import translate_os_errors
from hma_ft.files.lock import RunLock
from hma_ft.images_now import changed_since
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.mlflow_sync.state import MlflowState
from hma_ft.mlflow_sync.sync import sync
from hma_ft.names import enumerated
from hma_ft.reporting.console import result_table
from hma_ft.rundir.record import RunRecord
from hma_ft.rundir.result import read_result
from hma_ft.rundir.status import State, read_status
from hma_ft.shortages import shortage, shortages_explained
from hma_ft.training import train_and_test


class Summary(NamedTuple):
    """What a run came to."""

    val_top1: float  # NaN where val was trained on
    directory: Path
    state: str


def run(config: Config) -> Summary:
    """Train, evaluate and record; continue a run that was cut off; only report one that is finished."""
    accelerator = create_accelerator(config.trainer, mixes_pairs=mixes_images(config.augment))
    config = as_read(config)  # not before: the processes share the batch that was asked for
    directory = run_directory(config)
    main = accelerator.is_main_process
    with (
        stop_on_signals() as stop,
        translate_os_errors(directory),
        shortages_explained(),
        RunLock(directory) if main else nullcontext(),
    ):
        if main and config.fresh:
            _clear(directory)
        accelerator.wait_for_everyone()
        status = read_status(directory)
        finished = status is not None and status.state is State.finished
        accelerator.wait_for_everyone()  # all ranks have read the status before rank 0 writes it
        if not finished:
            _run_recorded(config, accelerator, directory, stop)
        elif main:
            print("This run is finished: its record is reported. fresh=true starts it over.")
            _say_if_images_changed(config, directory)
            _complete_mlflow(directory, config.tracking)
        accelerator.wait_for_everyone()  # rank 0 has written the result before the others read it
    result = read_result(directory)
    if main:
        result_table(result, directory, config.tracking)
    return Summary(float(result.get("val/top1", math.nan)), directory, State.finished)


def _run_recorded(config: Config, accelerator: Accelerator, directory: Path, stop: StopRequest) -> None:
    """Run, and leave a status that tells how it ended."""
    if not accelerator.is_main_process:
        train_and_test(config, accelerator, directory, None, None, stop)
        return
    record = RunRecord.open(
        directory,
        config=asdict(config),
        fingerprint=fingerprint(config),
        max_steps=config.trainer.max_steps,
        weights_sha256=weights_digest(config),
    )
    mlflow_logger = MlflowLogger(record, config.tracking) if config.tracking.mlflow else None
    try:
        train_and_test(config, accelerator, directory, record, mlflow_logger, stop)
        record.update_status(state=State.finished, step=record.status.max_steps, message="")
    except (Interrupted, KeyboardInterrupt) as error:
        with suppress(OSError):
            record.update_status(state=State.interrupted, message=str(error) or "stopped by Ctrl-C")
        raise
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else shortage(error) or f"{type(error).__name__}: {error}"
        with suppress(OSError):  # a full disk may be what ended the run; the first error is the one to tell
            record.update_status(state=State.failed, message=message)
        raise
    finally:
        if mlflow_logger is not None:
            mlflow_logger.close()
        record.close()


def _say_if_images_changed(config: Config, directory: Path) -> None:
    """Say it where a finished run's images are others by now."""
    changed = changed_since(directory, config)
    if changed:
        print(
            f"warning: images or labels of {enumerated(changed)} below dataset.root={config.dataset.root} have changed "
            "since this run; its results are of the earlier ones",
            file=sys.stderr,
        )


def _complete_mlflow(directory: Path, tracking: TrackingConfig) -> None:
    """Bring MLflow what a run that was killed between its end and MLflow's did not send."""
    if not tracking.mlflow or MlflowState.read(directory).complete:
        return
    try:
        sync(directory, tracking)
    except UserError as error:
        print(f"warning: {error}", file=sys.stderr)


def _clear(directory: Path) -> None:
    """Remove what an earlier run left, except the lock that this process holds."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != "lock":
            path.unlink()
