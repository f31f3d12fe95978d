"""`coverage` of `task=predict`: which images are confident enough to be given a class. Val chooses the threshold."""

from typing import NamedTuple

import torch

from hma_ft.config.schema import Selection
from hma_ft.engine.risk_coverage import coverage_threshold
from hma_ft.errors import UserError
from hma_ft.finished_run import FinishedRun
from hma_ft.rundir.val_predictions import read_val_predictions
from hma_ft.tasks.prediction_files import UNKNOWN


class Threshold(NamedTuple):
    """The least probability of an answer."""

    value: float
    lines: list[str]  # to print: what it means on val


NO_THRESHOLD = Threshold(0.0, [])


def choose_threshold(run: FinishedRun, coverage: float) -> Threshold:
    """Return the largest threshold that keeps a share `coverage` of the run's val images.

    Raises:
        UserError: the record lacks confidences on val, or has a val that the weights have learned from.
    """
    if run.method.learns_from_val or run.config.trainer.select is Selection.last:
        raise UserError(
            f"coverage={coverage:g} needs confidences on val, and run={run.directory} has learned from val: leave "
            "coverage out, or train a run that only chooses on val"
        )
    val = read_val_predictions(run.directory)
    if val is None:
        raise UserError(
            f"coverage={coverage:g} needs confidences on val, which run={run.directory} was made too early to keep: "
            "task=evaluate with the same run writes them"
        )
    confidence = torch.from_numpy(val.confidence)
    threshold = coverage_threshold(confidence, coverage)
    kept = (confidence >= threshold).numpy()
    lines = [
        f"{UNKNOWN}: probability below {threshold:.6f}, which {kept.mean():.1%} of the {len(kept)} val images reach; "
        f"{val.correct[kept].mean():.1%} of these are right, of all {val.correct.mean():.1%}"
    ]
    if UNKNOWN in run.class_names:
        lines.append(f"warning: the run has a class {UNKNOWN} of its own, which the column class can't tell apart")
    return Threshold(threshold, lines)
