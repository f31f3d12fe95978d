"""What a run shows while it trains, and the table at its end."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from hma_ft.config.schema import TrackingConfig
from hma_ft.mlflow_sync.store import ui_command

LINE_SECONDS = 15.0  # between two lines of a log


class Progress:
    """`with Progress(max_steps) as progress:` a live bar on a terminal, else a line now and then, as suits a log."""

    def __init__(
        self, max_steps: int, *, start_step: int = 0, stream: TextIO | None = None, line_seconds: float = LINE_SECONDS
    ) -> None:
        self.max_steps = max_steps
        self._line_seconds = line_seconds
        self._console = Console(file=stream or sys.stdout, highlight=False, soft_wrap=True)
        self._bar: Bar | None = None
        self._began: tuple[int, float] | None = (start_step, time.monotonic()) if start_step else None
        self._last_line = -float("inf")
        if self._console.is_terminal:
            columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TextColumn("{task.fields[figures]}"))
            self._bar = Bar(*columns, TextColumn("left"), TimeRemainingColumn(), console=self._console)
            self._task = self._bar.add_task("", total=max_steps, completed=start_step, figures="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, step: int, *, loss: float, top1: float, lr: float, images_per_s: float) -> None:
        """`step` steps are done."""
        figures = f"loss {loss:.4f}  top-1 {top1:.3f}  lr {lr:.2e}  {images_per_s:.0f} images/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, figures=figures)
            return
        now = time.monotonic()
        if self._began is None:
            self._began = (step, now)
        if now - self._last_line >= self._line_seconds or step >= self.max_steps:
            self._last_line = now
            self._console.print(f"step {step}/{self.max_steps}  {figures}  {self._left(step, now)}", markup=False)

    def _left(self, step: int, now: float) -> str:
        first, began = self._began or (step, now)
        if step <= first:
            return ""
        return f"{clock((now - began) / (step - first) * (self.max_steps - step))} left"

    def note(self, text: str) -> None:
        """A line that stays, above the bar."""
        self._console.print(text, markup=False)


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` within the hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def result_table(
    result: dict[str, Any], directory: Path, tracking: TrackingConfig, *, stream: TextIO | None = None
) -> None:
    """Prints what a run came to, where its record lies and how to look at it. Figures that are absent are left out."""
    console = Console(file=stream or sys.stdout, highlight=False)
    splits = [
        s for s in ("val", "val_batch", "val_support", "test", "test_batch", "test_support") if f"{s}/top1" in result
    ]
    table = Table("split", "top-1", "top-5", "class mean", "NLL", "ECE", title=_title(result))
    for split in splits:
        accuracies = [_percent(result.get(f"{split}/{name}")) for name in ("top1", "top5", "mean_per_class")]
        errors = [_number(result.get(f"{split}/{name}")) for name in ("nll", "ece")]
        table.add_row(split.replace("_", ", inference "), *accuracies, *errors)
    for column in table.columns[1:]:
        column.justify = "right"
    console.print(table)
    for line in _facts(result):
        console.print(line, markup=False)
    console.print(f"run directory: {directory}", markup=False, soft_wrap=True)
    if tracking.mlflow:
        console.print(f"MLflow: {ui_command(tracking, directory)}", markup=False, soft_wrap=True)


def _title(result: dict[str, Any]) -> str:
    mode = f", inference {result['inference']}" if result.get("inference") else ""
    return f"best weights of step {result.get('best/step', '?')}{mode}"


def _facts(result: dict[str, Any]) -> list[str]:
    lines = []
    if "params/total" in result:
        lines.append(f"parameters: {result['params/trainable']:,} trainable of {result['params/total']:,}")
    if "time/wall_s" in result:
        speed = f", {result['time/images_per_s']:.0f} images/s" if result.get("time/images_per_s") else ""
        lines.append(f"time: {result['time/wall_s']:.1f} s in all{speed}{_costs(result)}")
    if "memory/peak_bytes" in result:
        lines.append(f"peak memory: {result['memory/peak_bytes'] / 2**20:,.0f} MiB")
    return lines


def _costs(result: dict[str, Any]) -> str:
    """What the method costs from nothing; empty of a record from before costs were kept apart."""
    parts = {"features": "features_s", "training": "train_s", "evaluation": "eval_s"}
    seconds = {name: result.get(f"time/{key}") for name, key in parts.items()}
    if result.get("time/from_nothing_s") is None:
        return ""
    listed = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items() if value is not None)
    return f"; from nothing {result['time/from_nothing_s']:.1f} s ({listed})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
