"""The end of a run: the chosen weights on val and test, in every inference mode, written down."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.splits import Splits
from hma_ft.engine.costs import Spent
from hma_ft.engine.evaluate import Evaluator, Predictions
from hma_ft.engine.metrics import Metrics, evaluate_predictions
from hma_ft.engine.peak_memory import peak_memory_bytes
from hma_ft.engine.train_state import TrainState
from hma_ft.methods.base import Method
from hma_ft.reporting.figures import confusion_png, curves_png
from hma_ft.reporting.risk_coverage_figure import risk_coverage_png
from hma_ft.rundir.record import RunRecord
from hma_ft.rundir.val_predictions import ValPredictions


def evaluate_and_record(
    evaluator: Evaluator,
    method: Method,
    splits: Splits,
    state: TrainState,
    record: RunRecord | None,
    *,
    batch_size: int,
    wall_seconds: Callable[[], float],
    val_metrics: Metrics | None = None,
) -> None:
    """Evaluate the method as it is, and write result.json, predictions, tables and figures.

    Without a record (rank > 0) nothing is written. `batch_size` and `wall_seconds` (of the run so far) go into the
    costs. `val_metrics`: those of a method that has learned from val since.
    """
    result: dict[str, float | int | str] = {}
    if method.learns_from_val and val_metrics is not None:
        result |= val_metrics.scalars("val")
    clock = evaluator.clock
    with clock.on(Spent.evaluation):
        for split, suffix, predictions, metrics in evaluate_all(evaluator, method, splits):
            result |= metrics.scalars(f"{split}{suffix}")
            if record is not None:
                with clock.on(Spent.nothing):
                    if split == "test":
                        _write_predictions(record, predictions, metrics, splits, suffix)
                    elif not suffix:
                        val_predictions(predictions).write(record.directory)
    if record is None:
        return
    trainable, total = method.parameter_counts()
    result |= {
        "inference": method.inference_modes()[0],
        "best/step": state.best_step,
        **{f"chosen/{name}": value for name, value in method.chosen.items()},
        "params/trainable": trainable,
        "params/total": total,
        **_times(state, batch_size, wall_seconds()),
        "memory/peak_bytes": peak_memory_bytes(),
        "processes": evaluator.accelerator.num_processes,
        **{f"data/{name}": value for name, value in splits.description.items() if isinstance(value, (int, str))},
    }
    curves_png(record.path("curves.png"), record.rows)
    record.write_result(result)


def evaluate_all(
    evaluator: Evaluator, method: Method, splits: Splits
) -> Iterator[tuple[str, str, Predictions, Metrics]]:
    """Split, suffix of its figures ("" for the headline mode, else "_MODE"), predictions and what they are worth.

    Of one that has learned from val, test alone.
    """
    headline, *others = method.inference_modes()
    with evaluator.weights_held():
        for mode in (headline, *others):
            for split in ("test",) if method.learns_from_val or splits.trains_on_val else ("val", "test"):
                predictions = evaluator.predict(split, mode)
                metrics = evaluate_predictions(predictions.probabilities, predictions.labels, splits.class_names)
                yield split, "" if mode == headline else f"_{mode}", predictions, metrics


def _times(state: TrainState, batch_size: int, wall_seconds: float) -> dict[str, float]:
    """Seconds; `time/from_nothing_s` is the sum of features, training and evaluation."""
    costs, seconds = state.costs, max(state.costs.steps, 1e-9)
    return {
        "time/start_s": costs.start,
        "time/features_s": costs.features,
        "time/train_s": costs.training,
        "time/eval_s": costs.evaluation,
        "time/from_nothing_s": costs.from_nothing,
        "time/wall_s": wall_seconds,
        "time/first_step_s": state.first_step_seconds,
        "time/steps_per_s": state.step / seconds,
        "time/images_per_s": state.step * batch_size / seconds,
    }


def _write_predictions(
    record: RunRecord, predictions: Predictions, metrics: Metrics, splits: Splits, suffix: str
) -> None:
    """predictions.npz of the headline, predictions_MODE.npz of other modes; table and figures of the headline."""
    ids = predictions.ids.numpy()
    record.write_predictions(
        ids,
        predictions.labels.numpy(),
        predictions.probabilities.numpy(),
        splits.class_names,
        name=f"predictions{suffix}.npz",
        keys=image_keys(splits.test)[ids],
        groups=None if splits.test_groups is None else group_numbers(splits.test_groups)[ids],
    )
    if not suffix:
        record.write_per_class(metrics.per_class)
        confusion_png(record.path("confusion.png"), metrics.confusion.numpy(), splits.class_names)
        coverage, risk = (column.numpy() for column in metrics.risk_coverage)
        risk_coverage_png(record.path("risk_coverage.png"), coverage, risk, area=metrics.aurc)


def val_predictions(predictions: Predictions) -> ValPredictions:
    """Return what is kept of the predictions of val."""
    return ValPredictions.of(predictions.probabilities.numpy(), predictions.labels.numpy())


def image_keys(samples: ImageDataset) -> np.ndarray:
    """Numbers int64 [N] that name images by their content, so that runs with other splits know which they share.

    Of equal images in the split each has a number of its own.
    """
    occurrences: Counter[str] = Counter()
    keys = np.empty(len(samples), dtype=np.int64)
    for index, content in enumerate(samples.raw_digests()):
        keys[index] = _number(f"{content} {occurrences[content]}")
        occurrences[content] += 1
    return keys


def group_numbers(groups: Sequence[str]) -> np.ndarray:
    """Numbers int64 [N] that are equal for equal names of groups, in any split, and do not spell the names."""
    return np.array([_number(group) for group in groups], dtype=np.int64)


def _number(text: str) -> int:
    """A text as a signed number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)
