"""The checkpoints of a run: when they are written, which are kept, how a run continues; only rank 0 writes."""

import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.engine import checkpoint
from hma_ft.engine.costs import seconds_since_start
from hma_ft.engine.held_images import HELD_IMAGES, held_images
from hma_ft.engine.state import FROZEN_DIGEST, support_state, trainable_state_dict
from hma_ft.engine.train_state import TrainState
from hma_ft.engine.train_step import TrainStep
from hma_ft.methods.base import Method
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.rundir.record import RunRecord

FORMAT = 1  # of a checkpoint


class CheckpointManager:
    """Saves, prunes and resumes; without a record (rank > 0) nothing is written, and resuming still works."""

    def __init__(self, record: RunRecord | None, mlflow_logger: MlflowLogger | None, *, minutes: float) -> None:
        """`minutes` between two checkpoints; 0: one after every evaluation."""
        self._record = record
        self._mlflow_logger = mlflow_logger
        self._interval = minutes * 60.0
        self._saved_at = time.monotonic()
        self._named: deque[set[str]] = deque(maxlen=checkpoint.KEPT)  # best weights that the kept checkpoints name
        self._wall_before = 0.0

    def due(self, *, evaluated: bool) -> bool:
        """Whether the last checkpoint is older than `minutes`; with 0, after every evaluation."""
        if self._record is None or (self._interval == 0 and not evaluated):
            return False
        return time.monotonic() - self._saved_at >= self._interval

    def save(self, train_step: TrainStep, state: TrainState) -> None:
        """Save everything that the next step depends on."""
        if self._record is not None:
            state.rows = self._record.row_count
            state.wall_seconds = self.wall_seconds
            content = {"format": FORMAT, "learner": train_step.state_dict(), "state": asdict(state)}
            checkpoint.save(self._folder, content, kind="step", step=state.step)
            checkpoint.prune(self._folder, kind="step")
            self._named.append({state.best_file})
            checkpoint.prune_others(self._folder, kind="best", names=set().union(*self._named))
            self._record.update_status(step=state.step)
            if self._mlflow_logger is not None:  # not before: rows that no checkpoint holds may be taken back
                self._mlflow_logger.push()
        self._saved_at = time.monotonic()

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

    def keep_best(self, method: Method, step: int, frozen_digest: str) -> str:
        """Save the weights that the method holds; the name of their file.

        Best weights before them go, unless a checkpoint from which the run may continue names them.
        """
        if self._record is None:
            return ""
        state = {"format": FORMAT, "method": trainable_state_dict(method, inference_only=True)}
        state[FROZEN_DIGEST] = frozen_digest
        name = checkpoint.save(self._folder, state, kind="best", step=step).name
        checkpoint.prune_others(self._folder, kind="best", names={name}.union(*self._named))
        return name

    def keep_support(self, method: Method, train: ImageDataset, step: int) -> None:
        """Save what the chosen weights, those of `step`, read of training images. Once a run: it may be large.

        These are the contents of the support banks, and by which digests the images that any memory holds are
        recognised.
        """
        if self._record is None:
            return
        state, held = support_state(method), held_images(method, train)
        if state or len(held.ids):
            content = {"format": FORMAT, "method": state, HELD_IMAGES: held._asdict()}
            checkpoint.save(self._folder, content, kind="support", step=step)
            checkpoint.prune(self._folder, kind="support", keep=1)

    @property
    def wall_seconds(self) -> float:
        """Wall-clock seconds of all starts of the run so far."""
        return self._wall_before + seconds_since_start()

    @property
    def _folder(self) -> Path:
        """The folder of weights."""
        if self._record is None:
            raise RuntimeError("only the process that keeps the record writes checkpoints")
        return self._record.path("checkpoints")
