"""One record made of the runs of all folds of one seed: each of its test images was predicted by one of them."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from analysis.compare.metric import METRICS
from analysis.compare.records.run import Predictions, Run
from analysis.compare.statistics.pooled_metrics import pooled_metrics, weighted_means
from hma_ft.config.schema import Inference
from hma_ft.errors import UserError
from hma_ft.rundir.metric_log import Row

_SUFFIXES = ("", *(f"_{mode.value}" for mode in Inference))
_SHARED = ("test_in_train", "test_in_val")  # of data.json: test images of which there are copies outside
_ID_BITS = 32  # of an id within its fold
_NEXT_COPY = np.int64(0x1E3779B97F4A7C15)  # added to the key of a further copy of an image


class FoldRun(NamedTuple):
    """The run of one fold."""

    number: int  # from 1
    run: Run


def pooled_run(folds: Sequence[FoldRun], *, place: str) -> Run:
    """The folds of one seed as one run; `place` says in messages which seed of which group.

    Its test metrics are those of all images together, val and costs are means over the folds.

    Raises:
        UserError: predictions are missing, the folds share test images, or have other classes.
    """
    runs = [fold.run for fold in folds]
    result = _means([run.result for run in runs])
    for suffix in _SUFFIXES:
        if any(f"test{suffix}/top1" not in run.result for run in runs):
            continue
        parts = [_required(run, suffix) for run in runs]
        if not suffix:
            _require_disjoint(folds, parts, place)
        own = [{key: _number(run.result, f"test{suffix}/{key}") for key in ("top5", "nll")} for run in runs]
        metrics = weighted_means(own, [len(part.labels) for part in parts]) | pooled_metrics(_pooled(folds, parts))
        result |= {f"test{suffix}/{key}": metrics.get(key, math.nan) for key in METRICS}
    if "inference" in runs[0].result:
        result["inference"] = runs[0].result["inference"]
    digest = hashlib.sha256(" ".join(str(run.data.get("test_digest", "")) for run in runs).encode()).hexdigest()
    return Run(
        name=f"{runs[0].name} (and {len(runs) - 1} more folds)",
        place=runs[0].place,
        fingerprint=runs[0].fingerprint,
        params=runs[0].params,
        result=result,
        data={"test_digest": digest[:16]},
        env=runs[0].env,
        read_rows=partial(_mean_rows, runs),
        read_predictions=partial(_pooled_predictions, folds),
        archive=runs[0].archive,
    )


def _means(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of the numbers, with a slash in their name, that all results have."""
    keys = [key for key in results[0] if "/" in key and all(_is_number(result.get(key)) for result in results)]
    return {key: sum(_number(result, key) for result in results) / len(results) for key in keys}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(result: dict[str, Any], key: str) -> float:
    return float(result[key]) if _is_number(result.get(key)) else math.nan


def _required(run: Run, suffix: str) -> Predictions:
    found = run.read_predictions(suffix)
    if found is None:
        raise UserError(
            f"{run.name} has no predictions{suffix}.npz, from which the folds of a seed are pooled: repeat the run "
            "with fresh=true, or choose others with --where"
        )
    return found


def _require_disjoint(folds: Sequence[FoldRun], parts: Sequence[Predictions], place: str) -> None:
    """UserError where two folds tested the same images.

    Files that are copies may lie in two folds. A fold's record counts how many of its test images have a copy in train
    or val, where the test images of the other folds are.
    """
    copies = [sum(int(fold.run.data.get(name, 0)) for name in _SHARED) for fold in folds]
    for later in range(len(folds)):
        for earlier in range(later):
            shared = _shared(folds, parts, earlier, later)
            if shared > min(copies[earlier], copies[later]):
                raise UserError(
                    f"folds {folds[earlier].number} and {folds[later].number} of {place} share {shared} test images: "
                    "the folds of a seed must come from one division of the same files (dataset.split_seed); repeat "
                    "the runs with fresh=true, or choose others with --where"
                )


def _shared(folds: Sequence[FoldRun], parts: Sequence[Predictions], one: int, other: int) -> int:
    """Number of test images of two folds that are equal; of records without keys, all or none, by the digest."""
    mine, theirs = parts[one].keys, parts[other].keys
    if mine is not None and theirs is not None:
        return len(np.intersect1d(mine, theirs))
    digests = [folds[place].run.data.get("test_digest") for place in (one, other)]
    return len(parts[one].labels) if digests[0] is not None and digests[0] == digests[1] else 0


def _pooled_predictions(folds: Sequence[FoldRun], suffix: str) -> Predictions | None:
    parts = [fold.run.read_predictions(suffix) for fold in folds]
    found = [part for part in parts if part is not None]
    return _pooled(folds, found) if len(found) == len(parts) else None


def _pooled(folds: Sequence[FoldRun], parts: Sequence[Predictions]) -> Predictions:
    """The predictions of all folds, in the order of folds; ids are ascending. UserError where classes differ."""
    names = parts[0].class_names
    for fold, part in zip(folds, parts, strict=True):
        if part.class_names != names:
            raise UserError(
                f"{fold.run.name} has other classes than {folds[0].run.name}, another fold of its seed: repeat both on "
                "the same files with fresh=true"
            )
    ids = [(fold.number << _ID_BITS) + part.ids for fold, part in zip(folds, parts, strict=True)]
    keys = _joined([part.keys for part in parts])
    return Predictions(
        ids=np.concatenate(ids),
        labels=np.concatenate([part.labels for part in parts]),
        predicted=np.concatenate([part.predicted for part in parts]),
        class_names=names,
        probabilities=_joined([part.probabilities for part in parts]),
        keys=None if keys is None else _told_apart(keys),
        groups=_joined([part.groups for part in parts]),
    )


def _joined(arrays: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """One after the other; None where one is missing."""
    found = [array for array in arrays if array is not None]
    return np.concatenate(found) if len(found) == len(arrays) else None


def _told_apart(keys: np.ndarray) -> np.ndarray:
    """The keys [N], of which those of copies in several folds are made different, in the order of folds."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.searchsorted(ordered, ordered, side="left")
    found = keys.copy()
    with np.errstate(over="ignore"):
        found[order] += (np.arange(len(keys)) - first) * _NEXT_COPY
    return found


def _mean_rows(runs: Sequence[Run]) -> list[Row]:
    """Curves: at each step, the mean of what all folds have."""
    values: dict[tuple[float, str], list[float]] = defaultdict(list)
    for run in runs:
        own = {(row["step"], key): row[key] for row in run.read_rows() for key in row if "/" in key}
        for place, value in own.items():
            values[place].append(value)
    rows: dict[float, Row] = {}
    for (step, key), found in sorted(values.items()):
        if len(found) == len(runs):
            rows.setdefault(step, {"step": step})[key] = sum(found) / len(found)
    return list(rows.values())
