"""Logging and checkpoints of the training loop; only rank 0 writes."""

import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from hma_ft.config.schema import TrainerConfig
from hma_ft.data.datasets.base import ImageDataset
from hma_ft.engine import checkpoint
from hma_ft.engine.held_images import HELD_IMAGES, held_images
from hma_ft.engine.metrics import Metrics
from hma_ft.engine.state import FROZEN_DIGEST, support_state, trainable_state_dict
from hma_ft.engine.train_state import TrainState
from hma_ft.engine.train_step import TrainStep
from hma_ft.methods.base import Method
from hma_ft.mlflow_sync.logger import MlflowLogger
from hma_ft.reporting.console import Progress
from hma_ft.rundir.record import RunRecord

FORMAT = 1  # of a checkpoint


class TrainLogger:
    """Writes a run's record while it trains; without a record (rank > 0) every call does nothing."""

    def __init__(
        self,
        record: RunRecord | None,
        mlflow_logger: MlflowLogger | None,
        progress: Progress | None,
        *,
        batch_size: int,
        checkpoint_minutes: float,
    ) -> None:
        self.record = record
        self.mlflow_logger = mlflow_logger
        self.progress = progress
        self.batch_size = batch_size
        self._interval = checkpoint_minutes * 60.0
        self._saved_at = time.monotonic()
        self._named: deque[set[str]] = deque(maxlen=checkpoint.KEPT)  # best weights that the kept checkpoints name
        self._wall_before = 0.0
        self._logged_step, self._logged_at = 0, time.monotonic()  # of the row before, or where the steps went on

    def log_train(self, state: TrainState, loss: float, *, top1: float, learning_rate: float) -> None:
        """One row of training figures."""
        if state.first_step_seconds == 0.0:
            state.first_step_seconds = seconds_since_start()
        now = time.monotonic()
        speed = (state.step - self._logged_step) * self.batch_size / max(now - self._logged_at, 1e-9)
        self._logged_step, self._logged_at = state.step, now
        if self.record is None or self.progress is None:
            return
        row = {"train/loss": loss, "train/top1": top1, "train/lr": learning_rate, "train/images_per_s": speed}
        self.record.log_metrics(state.step, row)
        self.progress.update(state.step, loss=loss, top1=top1, lr=learning_rate, images_per_s=speed)

    def log_val(self, state: TrainState, metrics: Metrics) -> None:
        """One row of val figures."""
        if self.record is None or self.progress is None:
            return
        self.record.log_metrics(state.step, metrics.scalars("val") | {"val/best_top1": state.best_top1})
        self.record.update_status(step=state.step)
        self.progress.note(
            f"step {state.step}: val top-1 {metrics.top1:.4f}, best {state.best_top1:.4f} (step {state.best_step})"
        )

    def say_stopped(self, state: TrainState, config: TrainerConfig, learning_rate_factor: float) -> None:
        """Say that patience has ended, and where the schedule was, which knows nothing of it."""
        if self.record is None or self.progress is None:
            return
        self.record.update_status(max_steps=state.step)  # of which nothing is left to do
        self.progress.note(
            f"stopped at step {state.step} of {config.max_steps}: val has not improved in {config.patience} "
            f"evaluations since step {state.best_step}; the learning rate was at {learning_rate_factor:.0%} of its peak"
        )

    def keep_best(self, method: Method, step: int, frozen_digest: str) -> str:
        """Save the weights that the method holds; the name of their file.

        Best weights before them go, unless a checkpoint from which the run may continue names them.
        """
        if self.record is None:
            return ""
        state = {"format": FORMAT, "method": trainable_state_dict(method, inference_only=True)}
        state[FROZEN_DIGEST] = frozen_digest
        name = checkpoint.save(self.checkpoints, state, kind="best", step=step).name
        checkpoint.prune_others(self.checkpoints, kind="best", names={name}.union(*self._named))
        return name

    def keep_support(self, method: Method, train: ImageDataset, step: int) -> None:
        """Save what the chosen weights, those of `step`, read of training images. Once a run: it may be large.

        These are the contents of the support banks, and by which digests the images that any memory holds are
        recognised.
        """
        if self.record is None:
            return
        state, held = support_state(method), held_images(method, train)
        if state or len(held.ids):
            content = {"format": FORMAT, "method": state, HELD_IMAGES: held._asdict()}
            checkpoint.save(self.checkpoints, content, kind="support", step=step)
            checkpoint.prune(self.checkpoints, kind="support", keep=1)

    def checkpoint(self, train_step: TrainStep, state: TrainState) -> None:
        """Save everything that the next step depends on."""
        if self.record is not None:
            state.rows = self.record.row_count
            state.wall_seconds = self._wall_before + seconds_since_start()
            content = {"format": FORMAT, "learner": train_step.state_dict(), "state": asdict(state)}
            checkpoint.save(self.checkpoints, content, kind="step", step=state.step)
            checkpoint.prune(self.checkpoints, kind="step")
            self._named.append({state.best_file})
            checkpoint.prune_others(self.checkpoints, kind="best", names=set().union(*self._named))
            self.record.update_status(step=state.step)
            if self.mlflow_logger is not None:  # not before: rows that no checkpoint holds may be taken back
                self.mlflow_logger.push()
        self._saved_at = time.monotonic()
        self._logged_step, self._logged_at = state.step, self._saved_at

    def checkpoint_due(self, *, evaluated: bool) -> bool:
        """Whether the last checkpoint is older than `checkpoint_minutes`; with 0, after every evaluation."""
        if self.record is None or (self._interval == 0 and not evaluated):
            return False
        return time.monotonic() - self._saved_at >= self._interval

    def resume(self, train_step: TrainStep, directory: Path) -> TrainState:
        """The state of the newest whole checkpoint, loaded into the learner; a new one if there is none."""
        content: dict[str, Any] | None = checkpoint.load_newest(directory / "checkpoints", kind="step")
        state = TrainState() if content is None else TrainState.from_checkpoint(content["state"])
        if content is not None:
            train_step.load_state_dict(content["learner"])
        if self.record is not None:
            self.record.rewind(state.rows)
            # best weights of steps that will be done again, perhaps with another outcome
            checkpoint.remove_later(self.checkpoints, kind="best", step=state.step)
            self._named.append({path.name for path in self.checkpoints.glob("best-*.pt")})
        self._logged_step, self._logged_at = state.step, time.monotonic()
        self._wall_before = state.wall_seconds
        return state

    @property
    def wall_seconds(self) -> float:
        """Wall-clock seconds of all starts of the run so far."""
        return self._wall_before + seconds_since_start()

    @property
    def checkpoints(self) -> Path:
        """The folder of weights."""
        if self.record is None:
            raise RuntimeError("only the process that keeps the record writes checkpoints")
        return self.record.path("checkpoints")


def seconds_since_start() -> float:
    """Since this process was started, imports included."""
    return time.time() - psutil.Process().create_time()
