"""What the finite number of test images leaves open of a figure: 95 % intervals from stored predictions."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

LEVEL = 0.95
RESAMPLES = 1000
_LEAST_PROBABILITY = np.finfo(np.float32).tiny  # as in the NLL of engine.metrics


class Interval(NamedTuple):
    """A figure and its interval over test images."""

    value: float
    low: float
    high: float


def intervals(predictions: Path) -> dict[str, Interval]:
    """Intervals of a predictions.npz: top1 (Wilson score), mean_per_class and nll (percentile bootstrap)."""
    with np.load(predictions, allow_pickle=False) as arrays:
        labels, probabilities = arrays["labels"], arrays["probabilities"].astype(np.float64)
    correct = probabilities.argmax(1) == labels
    classes = probabilities.shape[1]
    nats = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], _LEAST_PROBABILITY))
    wilson = binomtest(int(correct.sum()), len(labels)).proportion_ci(LEVEL, method="wilson")

    def mean_per_class(rows: np.ndarray) -> float:
        images = np.bincount(labels[rows], minlength=classes)
        hits = np.bincount(labels[rows], weights=correct[rows], minlength=classes)
        return float((hits[images > 0] / images[images > 0]).mean())

    return {
        "top1": Interval(float(correct.mean()), float(wilson.low), float(wilson.high)),
        "mean_per_class": _bootstrap(mean_per_class, len(labels)),
        "nll": _bootstrap(lambda rows: float(nats[rows].mean()), len(labels)),
    }


def _bootstrap(statistic: Callable[[np.ndarray], float], count: int) -> Interval:
    """Percentiles over resampled rows; a pure function of the data."""
    random = np.random.default_rng(0)
    values = [statistic(random.integers(count, size=count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(statistic(np.arange(count)), float(low), float(high))
