"""Reliability diagrams."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.plots.style import GREY, cut, legend_height, new_figure, style_of, tidy, with_titles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 15  # as in the runs' ECE
LEAST = 10  # predictions of a bin that is drawn


class Reliability(NamedTuple):
    """Bins of equal width over the confidence of the predicted class; nan where a bin is empty."""

    confidence: np.ndarray  # mean of each bin
    accuracy: np.ndarray
    images: np.ndarray  # number of predictions
    ece: float


def reliability(confidence: np.ndarray, correct: np.ndarray) -> Reliability:
    """From the confidence [N] and correctness [N] of predictions (Guo et al., ICML 2017, section 2)."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    # closed to the left, as torchmetrics has them; a confidence of 1 goes to the last
    place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, weights=confidence, minlength=BINS) / counts
        accuracy = np.bincount(place, weights=correct.astype(float), minlength=BINS) / counts
    ece = float(np.nansum(counts * np.abs(accuracy - mean)) / max(len(confidence), 1))
    return Reliability(mean, accuracy, counts, ece)


def group_reliability(group: Group, mode: str | None) -> Reliability | None:
    """Reliability over all seeds together; None where a run has none, or their probabilities aren't known."""
    confidence, correct = [], []
    for run in group.runs["run"]:
        predictions = run.predictions(mode)
        if predictions is None or predictions.probabilities is None:
            return None
        confidence.append(np.clip(predictions.probabilities.astype(float).max(axis=1), 0.0, 1.0))
        correct.append(predictions.correct)
    return reliability(np.concatenate(confidence), np.concatenate(correct))


def reliability_figure(comparison: Comparison, dataset: str) -> "Figure | None":
    """Accuracy against confidence above, how often each confidence occurs below; None without predictions."""
    figure = new_figure(7.6, legend_height(len(comparison.of(dataset)), 6.0))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 100], [0, 100], color=GREY, linewidth=1, label="perfect")
    drawn = False
    for group in comparison.of(dataset):
        found = group_reliability(group, comparison.mode)
        if found is None:
            continue
        drawn = True
        colour, marker, line = style_of(comparison.labels.index(group.label))
        kept = found.images >= LEAST
        label = f"{cut(group.label)}: ECE {100 * found.ece:.1f} %"
        points = 100 * found.confidence[kept], 100 * found.accuracy[kept]
        above.plot(*points, marker=marker, markersize=5, label=label, color=colour, linestyle=line, linewidth=1.4)
        share = 100 * found.images / found.images.sum()
        below.stairs(share, np.linspace(0, 100, BINS + 1), color=colour, linestyle=line)
    above.set(ylabel="accuracy %", xlim=(0, 100), ylim=(0, 100))
    below.set(xlabel="confidence of the predicted class %", ylabel="share of images %")
    tidy(above)
    tidy(below)
    return with_titles(figure, dataset, above) if drawn else None
