"""The checkpoints of a run: when they are written, which are kept, how a run continues; only rank 0 writes."""

import contextlib
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, Self

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.engine import checkpoint
from hma_ft.engine.checkpoint_writer import CheckpointWriter
from hma_ft.engine.costs import seconds_since_start
from hma_ft.engine.held_images import HELD_IMAGES, held_images
from hma_ft.engine.state import FROZEN_DIGEST, support_state, trainable_state_dict
from hma_ft.engine.train_state import TrainState
from hma_ft.engine.train_step import TrainStep
from hma_ft.errors import UserError
from hma_ft.methods.base import Method
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.rundir.record import RunRecord

FORMAT = 1  # of a checkpoint
SHARE = 0.02  # of a run's time that its steps may wait for checkpoints


class Written(NamedTuple):
    """A checkpoint that is on the disk."""

    step: int
    rows: int  # of metrics.jsonl that it covers


def interval(wanted: float, save_seconds: float) -> float:
    """Seconds from one checkpoint to the next; 0 stays 0."""
    return max(wanted, save_seconds / SHARE) if wanted > 0 else 0.0


class CheckpointManager:
    """Saves, prunes and resumes; without a record (rank > 0) nothing is written, and resuming still works.

    A context: leaving it waits for what is being written. In the background files are written in the order in which
    they were asked for, so that a killed process leaves what it would have left without.
    """

    def __init__(
        self,
        record: RunRecord | None,
        mlflow_logger: MlflowLogger | None,
        *,
        minutes: float,
        in_background: bool = False,
    ) -> None:
        """`minutes` between two checkpoints, or more where writing one would take a larger `SHARE` of that time; 0: one
        after every evaluation. `in_background`: steps go on meanwhile.
        """
        self._record = record
        self._mlflow_logger = mlflow_logger
        self._interval = minutes * 60.0
        self._saved_at = time.monotonic()
        self._save_seconds = 0.0  # that the last one took from the steps
        self._named: deque[set[str]] = deque(maxlen=checkpoint.KEPT)  # best weights that the kept checkpoints name
        self._wall_before = 0.0
        self._writer = CheckpointWriter(in_background=in_background)
        self._written: SimpleQueue[Written] = SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with contextlib.suppress(UserError) if kind is not None else contextlib.nullcontext():
            self.wait()

    def due(self, *, evaluated: bool) -> bool:
        """Whether the last checkpoint is older than `minutes`; with 0, after every evaluation."""
        if self._record is None:
            return False
        self._writer.poll()
        self._report()
        if self._interval == 0 and not evaluated:
            return False
        return time.monotonic() - self._saved_at >= interval(self._interval, self._save_seconds)

    def save(self, train_step: TrainStep, state: TrainState) -> None:
        """Save everything that the next step depends on."""
        started = time.monotonic()
        if self._record is not None:
            state.rows = self._record.row_count
            state.wall_seconds = self.wall_seconds
            content = {"format": FORMAT, "learner": train_step.state_dict(), "state": asdict(state)}
            held = self._writer.held(content)
            self._writer.submit(lambda: self._write(held, state))
            self._report()
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def wait(self) -> None:
        """Return once everything is on the disk. UserError if the disk refuses."""
        self._writer.wait()
        self._report()

    def resume(self, train_step: TrainStep, directory: Path) -> TrainState:
        """The state of the newest whole checkpoint, loaded into `train_step`; a new one if there is none."""
        content: dict[str, Any] | None = checkpoint.load_newest(directory / "checkpoints", kind="step")
        state = TrainState() if content is None else TrainState.from_checkpoint(content["state"])
        if content is not None:
            train_step.load_state_dict(content["learner"])
        if self._record is not None:
            self._record.rewind(state.rows)
            # best weights of steps that will be done again, perhaps with another outcome
            checkpoint.remove_later(self._folder, kind="best", step=state.step)
            self._named.append({path.name for path in self._folder.glob("best-*.pt")})
        self._wall_before = state.wall_seconds
        return state

    def keep_best(self, method: Method, state: TrainState, frozen_digest: str) -> None:
        """Save the weights that the method holds, those of `state.best_step`; `state.best_file` is then their file.

        Best weights before them go, unless a checkpoint from which the run may continue names them.
        """
        if self._record is None:
            return
        content = {"format": FORMAT, "method": trainable_state_dict(method, inference_only=True)}
        content[FROZEN_DIGEST] = frozen_digest
        held, step = self._writer.held(content), state.best_step
        self._writer.submit(lambda: self._write_best(held, state, step))

    def keep_support(self, method: Method, train: ImageDataset, step: int) -> None:
        """Save what the chosen weights, those of `step`, read of training images. Once a run: it may be large.

        These are the contents of the support banks, and by which digests the images that any memory holds are
        recognised.
        """
        if self._record is None:
            return
        self.wait()
        state, held = support_state(method), held_images(method, train)
        if state or len(held.ids):
            content = {"format": FORMAT, "method": state, HELD_IMAGES: held._asdict()}
            checkpoint.save(self._folder, content, kind="support", step=step)
            checkpoint.prune(self._folder, kind="support", keep=1)

    @property
    def wall_seconds(self) -> float:
        """Wall-clock seconds of all starts of the run so far."""
        return self._wall_before + seconds_since_start()

    def _write(self, content: dict[str, Any], state: TrainState) -> None:
        """Write a checkpoint. Best weights that were asked for before it are on the disk, and it names them."""
        step, rows = content["state"]["step"], content["state"]["rows"]
        content["state"]["best_file"] = state.best_file
        checkpoint.save(self._folder, content, kind="step", step=step)
        checkpoint.prune(self._folder, kind="step")
        self._named.append({state.best_file})
        checkpoint.prune_others(self._folder, kind="best", names=set().union(*self._named))
        self._written.put(Written(step, rows))

    def _write_best(self, content: dict[str, Any], state: TrainState, step: int) -> None:
        state.best_file = checkpoint.save(self._folder, content, kind="best", step=step).name
        checkpoint.prune_others(self._folder, kind="best", names={state.best_file}.union(*self._named))

    def _report(self) -> None:
        """Tell of checkpoints that have been written."""
        while self._record is not None:
            try:
                written = self._written.get_nowait()
            except Empty:
                return
            self._record.update_status(step=written.step)
            if self._mlflow_logger is not None:  # not before: rows that no checkpoint holds may be taken back
                self._mlflow_logger.push(rows=written.rows)

    @property
    def _folder(self) -> Path:
        """The folder of weights."""
        if self._record is None:
            raise RuntimeError("only the process that keeps the record writes checkpoints")
        return self._record.path("checkpoints")
