"""All figures of a comparison."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from analysis.compare.comparison import Comparison
from analysis.compare.plots.accuracy import accuracy_figure, pareto_figure
from analysis.compare.plots.calibration import reliability_figure
from analysis.compare.plots.classes import confusion_figure, per_class_figure
from analysis.compare.plots.curves import curves_figure
from analysis.compare.plots.memory import memory_figure
from analysis.compare.plots.ranks import ranks_figure
from analysis.compare.plots.style import save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of each data set: name of the file, what draws it, caption.
_EACH: list[tuple[str, Callable[[Comparison, str], "Figure | None"], str]] = [
    (
        "pareto",
        pareto_figure,
        "Test {metric} on {dataset} against trainable parameters and, where it is known, what the method costs from "
        "nothing (features, training and evaluation): means over seeds with {level} t intervals. Nothing is both "
        "cheaper and better than a group on the dashed line.",
    ),
    (
        "curves",
        curves_figure,
        "Learning curves on {dataset}: mean over seeds, band from the least to the largest value. Level lines: methods "
        "without steps.",
    ),
    (
        "reliability",
        reliability_figure,
        "Reliability on {dataset}, test predictions of all seeds: accuracy of each of "
        "15 bins of confidence that has ten predictions or more, and share of images by confidence.",
    ),
    (
        "per_class",
        per_class_figure,
        "Accuracy of each class of {dataset} minus that of {baseline}, over all seeds. At most eight groups are shown.",
    ),
    (
        "confusion_difference",
        confusion_figure,
        "Confusion on {dataset} minus that of {baseline}, over all seeds: on the diagonal, positive values are more "
        "correct answers; off it, more mistakes. At most eight groups are shown.",
    ),
    (
        "memory_size",
        memory_figure,
        "Mean {metric} on {dataset} by the sizes of the real and the synthetic memory. Choose by val.",
    ),
]


class _Drawing(NamedTuple):
    """A figure that is not drawn yet."""

    stem: str  # of its files
    caption: str
    make: Callable[[], "Figure | None"]  # None where the runs do not allow it


def draw(comparison: Comparison, folder: Path, only: str | None = None) -> list[tuple[str, str]]:
    """Write the figures that the runs allow, or `only` the one of this stem, as PNG and PDF; stems and captions."""
    written = []
    for drawing in _drawings(comparison):
        figure = drawing.make() if only in (None, drawing.stem) else None
        if figure is not None:
            save(figure, folder, drawing.stem)
            written.append((drawing.stem, drawing.caption))
    return written


def _drawings(comparison: Comparison) -> Iterator[_Drawing]:
    level = f"{100 * comparison.level:g} %"
    mode = f" (inference {comparison.mode})" if comparison.mode else ""
    metric = comparison.metric.title + mode
    yield _Drawing(
        "accuracy",
        f"Test {metric}: mean with {level} t interval; dots are seeds, their number is in brackets. The axis ends at "
        "what is possible, a wider interval is cut.",
        partial(accuracy_figure, comparison),
    )
    yield _Drawing(
        "ranks",
        f"Mean rank of test {metric} over the data sets, with {level} bootstrap intervals over runs. A bar "
        "joins groups that Nemenyi's test, which asks for other data sets, can't tell apart.",
        partial(ranks_figure, comparison),
    )
    for name, make, text in _EACH:
        for dataset in comparison.datasets:
            caption = text.format(metric=metric, dataset=dataset, level=level, baseline=comparison.baseline)
            yield _Drawing(f"{name}-{dataset}", caption, partial(make, comparison, dataset))
