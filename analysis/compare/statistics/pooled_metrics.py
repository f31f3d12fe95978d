"""Metrics of test images that several runs predicted, a part of them each."""

from collections.abc import Sequence

import numpy as np

from analysis.compare.metric import METRICS
from analysis.compare.records.run import Predictions
from analysis.compare.statistics.image_differences import image_scores

_BINS = 15  # as in hma_ft.engine.metrics, which imports torch; certainty has a bin of its own there


def pooled_metrics(predictions: Predictions) -> dict[str, float]:
    """The metrics of a run over all images; those that the predictions can't tell are left out."""
    counts = np.bincount(predictions.labels)
    hits = np.bincount(predictions.labels, weights=predictions.correct)
    occurring = counts > 0
    found = {"mean_per_class": float((hits[occurring] / counts[occurring]).mean())}
    for key in ("top1", "top5", "nll"):
        scores = image_scores(METRICS[key], predictions)
        if scores is not None:
            found[key] = float(scores.mean())
    if predictions.probabilities is not None:
        confidence = predictions.probabilities.max(axis=1).clip(0.0, 1.0)
        found["ece"] = _calibration_error(confidence, predictions.correct)
        found["aurc"] = _risk_coverage_area(confidence, predictions.correct)
    return found


def weighted_means(results: Sequence[dict[str, float]], images: Sequence[int]) -> dict[str, float]:
    """Top-5 and NLL of all images from the results of the parts, being means over images."""
    shares = np.asarray(images) / sum(images)
    return {key: float(np.dot(shares, [result[key] for result in results])) for key in ("top5", "nll")}


def _calibration_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Mean over images of |accuracy - confidence| of their bin (Guo et al., ICML 2017), as in the runs' results."""
    edges = np.linspace(0.0, 1.0, _BINS + 1, dtype=np.float32)
    bins = np.searchsorted(edges, confidence, side="right") - 1
    gaps = np.bincount(bins, weights=correct - confidence.astype(float))
    return float(np.abs(gaps).sum() / len(confidence))


def _risk_coverage_area(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Mean risk over all coverages, errors spread evenly over images of equal confidence, as in the runs' results."""
    _, group, sizes = np.unique(-confidence.astype(float), return_inverse=True, return_counts=True)
    shares = np.bincount(group, weights=~correct.astype(bool)) / sizes
    answered = np.arange(1, len(confidence) + 1)
    return float((np.repeat(shares, sizes).cumsum() / answered).mean())
