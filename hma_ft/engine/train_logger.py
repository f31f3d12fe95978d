"""What the training loop logs; only rank 0 writes."""

import time

from hma_ft.config.schema import TrainerConfig
from hma_ft.engine.costs import seconds_since_start
from hma_ft.engine.metrics import Metrics
from hma_ft.engine.train_state import TrainState
from hma_ft.reporting.console import Progress
from hma_ft.rundir.record import RunRecord


class TrainLogger:
    """Writes metrics to a run's record and to the console; without a record (rank > 0) every call writes nothing."""

    def __init__(self, record: RunRecord | None, progress: Progress | None, *, batch_size: int) -> None:
        self.record = record
        self.progress = progress
        self.batch_size = batch_size
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

    def go_on_from(self, step: int) -> None:
        """Measure the speed of the next row from here: what came before was no step."""
        self._logged_step, self._logged_at = step, time.monotonic()
