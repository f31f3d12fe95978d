"""What each test image adds to a metric, and the differences between two groups that are paired by seed and image."""

from collections.abc import Sequence

import numpy as np

from analysis.compare.metric import Metric
from analysis.compare.records.run import Predictions, Run
from analysis.compare.statistics.crossed import Differences

PER_IMAGE = ("top1", "top5", "mean_per_class", "nll")  # metrics that are means over images; ECE and AURC are none
_LEAST_PROBABILITY = np.finfo(np.float32).tiny  # that counts in NLL, as in hma_ft.engine.metrics, which imports torch


def image_scores(metric: Metric, predictions: Predictions) -> np.ndarray | None:
    """Value of each image [N], whose mean is the metric; None where the predictions can't tell.

    Of `mean_per_class` the correctness of each image, which `paired_differences` weights.
    """
    if metric.key in ("top1", "mean_per_class"):
        return predictions.correct.astype(float)
    if metric.key not in PER_IMAGE or predictions.probabilities is None:
        return None
    rows = np.arange(len(predictions.labels))
    probabilities = predictions.probabilities.astype(float).clip(0.0, 1.0)
    if metric.key == "nll":
        return -np.log(probabilities[rows, predictions.labels].clip(_LEAST_PROBABILITY))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    return (best == predictions.labels[:, None]).any(axis=1).astype(float)


def image_numbers(runs: Sequence[Run], predictions: Sequence[Predictions]) -> list[np.ndarray]:
    """Numbers that are equal for the same test image, [N] for each run.

    Known by the images' keys. Records without keys, or with a key twice, have the place of an image in its split: that
    means the same image where the digest of the split agrees, and is taken for another image where it does not.
    """
    keys = [found.keys for found in predictions if found.keys is not None and _differ(found.keys)]
    if len(keys) == len(predictions):
        return keys
    digests = [str(run.data.get("test_digest", "")) for run in runs]
    offsets = {digest: index << 40 for index, digest in enumerate(dict.fromkeys(digests))}
    return [offsets[digest] + found.ids for digest, found in zip(digests, predictions, strict=True)]


def _differ(keys: np.ndarray) -> bool:
    return len(np.unique(keys)) == len(keys)


def paired_differences(pairs: Sequence[tuple[Run, Run]], metric: Metric, mode: str | None) -> Differences | None:
    """Differences first - second by seed and image; `pairs` has the two runs of each seed.

    None where predictions are missing, don't hold what the metric needs, or the runs of a seed saw different images.
    """
    runs = [run for pair in pairs for run in pair]
    read = [run.predictions(mode) for run in runs]
    predictions = [found for found in read if found is not None]
    if not pairs or len(predictions) < len(runs):
        return None
    numbers = image_numbers(runs, predictions)
    values, labels = [], []
    for first in range(0, len(runs), 2):
        mine, other = predictions[first : first + 2]
        if not (np.array_equal(numbers[first], numbers[first + 1]) and np.array_equal(mine.labels, other.labels)):
            return None
        scores = image_scores(metric, mine), image_scores(metric, other)
        if scores[0] is None or scores[1] is None:
            return None
        values.append(scores[0] - scores[1])
        labels.append(mine.labels)
    if metric.key == "mean_per_class":
        values = _by_class(values, labels)
    seeds = np.repeat(np.arange(len(pairs)), [len(found) for found in values])
    images = np.unique(np.concatenate(numbers[::2]), return_inverse=True)[1]
    return Differences(np.concatenate(values), seeds, images, _group_numbers(predictions))


def _group_numbers(predictions: Sequence[Predictions]) -> np.ndarray | None:
    """Group of each test image of every second prediction, int [M] from 0; None where one knows none."""
    groups = [found.groups for found in predictions if found.groups is not None]
    if len(groups) < len(predictions):
        return None
    return np.unique(np.concatenate(groups[::2]), return_inverse=True)[1]


def _by_class(values: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Values whose means are the mean class differences of the seeds.

    What an image adds is its difference from the mean of its class, as the number of images of a class does not move
    the metric: the usual linearisation of a ratio.
    """
    totals, counts = (
        np.bincount(np.concatenate(labels), weights=weights) for weights in (np.concatenate(values), None)
    )
    occurring = counts > 0
    means = np.divide(totals, counts, out=np.zeros_like(totals), where=occurring)
    middle = means[occurring].mean()
    found = []
    for own, of_class in zip(values, labels, strict=True):
        sizes = np.bincount(of_class)
        weights = len(own) / ((sizes > 0).sum() * sizes[of_class])
        found.append(middle + (own - means[of_class]) * weights)
    return found
