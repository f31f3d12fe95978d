"""`task=evaluate run=DIR`: repeat a finished run's metrics from its weights.

A run of an earlier version lacks the confidences on val that `coverage` of `task=predict` reads; they are then written.
"""

import math
import os
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from hma_ft.config.schema import Config, Precision
from hma_ft.engine.final_evaluation import evaluate_all, val_predictions
from hma_ft.engine.repeatability import EXACT, Move, differences, expected_move, tolerances
from hma_ft.finished_run import FinishedRun, open_for_command
from hma_ft.rundir import val_predictions as val_record


class Repeated(NamedTuple):
    """One metric, computed again."""

    name: str
    now: float
    recorded: float | None  # None: not finite then
    tolerance: float

    @property
    def differs(self) -> bool:
        """Whether it is further from the record than the tolerance."""
        recorded = math.nan if self.recorded is None else self.recorded
        if not (math.isfinite(self.now) and math.isfinite(recorded)):
            return math.isfinite(self.now) != math.isfinite(recorded)
        return abs(self.now - recorded) > self.tolerance


def evaluate(config: Config, given: frozenset[str] = frozenset()) -> int:
    """Evaluate the chosen weights on val and test in every inference mode, beside what the record says.

    Returns 1 if a metric differs by more than its tolerance, else 0.
    """
    run = open_for_command(config, given)
    for split in run.changed_splits():
        run.note(f"the {split} images below dataset.root={run.config.dataset.root} are not those of the record")
    different = differences(*run.arithmetics)
    move = expected_move(run.config.trainer.precision, *run.arithmetics)
    repeated, absent, val = [], [], None
    for split, suffix, predictions, metrics in evaluate_all(run.evaluator, run.method, run.splits):
        if (split, suffix) == ("val", ""):
            val = val_predictions(predictions)
        allowed = tolerances(predictions.probabilities, predictions.labels, move) if different else {}
        for name, value in metrics.scalars(f"{split}{suffix}").items():
            if name in run.result:
                tolerance = allowed.get(name.rpartition("/")[2], EXACT)
                repeated.append(Repeated(name, value, run.result[name], tolerance))
            else:
                absent.append(name)
    if run.is_main_process:
        _print(repeated)
        _explain(run.config.trainer.precision, different, move, absent)
    differs = any(metric.differs for metric in repeated)
    if val is not None and not differs:
        _complete(run, val)
    return 1 if differs else 0


def _complete(run: FinishedRun, val: val_record.ValPredictions) -> None:
    """Write the predictions of val into the record, if it lacks them and may be written."""
    path = run.directory / val_record.FILE
    if run.is_main_process and not path.exists() and os.access(run.directory, os.W_OK):
        val.write(run.directory)
        run.note(f"an earlier version made it, which kept no predictions of val; they are in {path} now")


def _print(repeated: list[Repeated]) -> None:
    table = Table("metric", "now", "recorded", "tolerance", "")
    for metric in repeated:
        recorded = math.nan if metric.recorded is None else metric.recorded
        table.add_row(
            metric.name,
            f"{metric.now:.6f}",
            f"{recorded:.6f}",
            f"{metric.tolerance:.1e}",
            "differs" if metric.differs else "",
        )
    Console().print(table)


def _explain(precision: Precision, different: list[str], move: Move, absent: list[str]) -> None:
    """Say where the tolerance comes from, and what was not compared."""
    console = Console(highlight=False, soft_wrap=True)
    if different:
        console.print(
            f"Computed in another way than the run ({'; '.join(different)}). Rounding in {precision.value} then moves "
            f"log-probabilities by {move.mean:g} in the mean and {move.largest:g} at most; the tolerance is what so "
            "much can change of a metric.",
            markup=False,
        )
    else:
        console.print(f"Computed as the run was ({precision.value}, same device): tolerance {EXACT:g}.", markup=False)
    if absent:
        console.print(f"Not in the record, so not compared: {', '.join(absent)}.", markup=False)
