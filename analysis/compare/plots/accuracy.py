"""Accuracy of the groups with intervals, and against what they cost."""

import math
from typing import TYPE_CHECKING

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.plots.style import (
    GREY,
    cut,
    legend_height,
    new_figure,
    panel_grid,
    panels,
    style_of,
    tidy,
    with_titles,
)
from analysis.compare.records.frame import TIMED, cost
from analysis.compare.statistics.over_seeds import summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {"params/trainable": "trainable parameters", TIMED: "cost from nothing, s"}


def accuracy_figure(comparison: Comparison) -> "Figure":
    """A panel a data set: mean and t interval of each group, its seeds as small dots."""
    rows, columns = panel_grid(len(comparison.datasets))
    height = max(1.8, 0.42 * len(comparison.labels) + 1.2)
    figure = new_figure(5.2 * columns + 1.0, height * rows)
    for panel, dataset in zip(panels(figure, len(comparison.datasets)), comparison.datasets, strict=False):
        _accuracy_panel(panel, comparison, dataset)
    return figure


def _accuracy_panel(axes: "Axes", comparison: Comparison, dataset: str) -> None:
    scale = _scale(comparison)
    groups = comparison.of(dataset)
    for place, group in enumerate(groups):
        style = style_of(comparison.labels.index(group.label))
        values = scale * comparison.scores(group)
        found = summarize(values, level=comparison.level)
        if found.n > 1:
            half = found.mean - found.t_low
            axes.errorbar([found.mean], [place], xerr=[half], color=style.colour, capsize=4, linewidth=1.6)
        axes.plot(values, [place + 0.2] * len(values), ".", color=GREY, markersize=5, alpha=0.8)
        axes.plot([found.mean], [place], style.marker, color=style.colour, markersize=8)
    labels = [f"{cut(group.label)} ({len(group.runs)})" for group in groups]
    axes.set_yticks(range(len(groups)), labels, parse_math=False)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    _limit_to_possible(axes, comparison)
    axes.set_xlabel(f"test {comparison.metric.unit}")
    axes.set_title(dataset, loc="left", fontsize=11)
    tidy(axes, grid="x")


def _limit_to_possible(axes: "Axes", comparison: Comparison) -> None:
    """Intervals of two seeds may reach beyond 0 or 100 %; the axis does not."""
    low, high = axes.get_xlim()
    if comparison.metric.share:
        axes.set_xlim(max(low, -2.0), min(high, 102.0))


def _scale(comparison: Comparison) -> float:
    return 100.0 if comparison.metric.share else 1.0


def pareto_figure(comparison: Comparison, dataset: str) -> "Figure":
    """Mean test metric against each cost that is known; a line joins what nothing beats in both."""
    groups = comparison.of(dataset)
    costs = [key for key in COSTS if any(math.isfinite(cost(group.runs, key)) for group in groups)]
    figure = new_figure(5.0 * len(costs) + 1.0, legend_height(len(groups), 4.4))
    axes = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for panel, key in zip(axes, costs, strict=True):
        _pareto_panel(panel, comparison, dataset, key)
        panel.set_xlabel(COSTS[key])
    axes[0].set_ylabel(f"test {comparison.metric.unit}")
    return with_titles(figure, dataset, axes[0])


def _pareto_panel(axes: "Axes", comparison: Comparison, dataset: str, key: str) -> None:
    points = []
    for group in comparison.of(dataset):
        x, y, half = _point(comparison, group, key)
        if math.isfinite(x) and math.isfinite(y):
            colour, marker, _ = style_of(comparison.labels.index(group.label))
            look = {"color": colour, "marker": marker, "markersize": 8, "capsize": 3, "linestyle": ""}
            axes.errorbar([x], [y], yerr=[half], label=cut(group.label), **look)  # type: ignore[arg-type]
            points.append((x, y))
    _logarithmic(axes, [x for x, _ in points])
    front = pareto_front(points, higher_is_better=comparison.metric.higher_is_better)
    axes.plot(*zip(*front, strict=True), color=GREY, linewidth=1, linestyle="--", zorder=0) if front else None
    if comparison.metric.share:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -2.0), min(high, 102.0))
    tidy(axes)


def _point(comparison: Comparison, group: Group, key: str) -> tuple[float, float, float]:
    """Cost, mean metric, half the t interval (0 for one seed)."""
    found = summarize(_scale(comparison) * comparison.scores(group), level=comparison.level)
    return cost(group.runs, key), found.mean, found.mean - found.t_low if found.n > 1 else 0.0


def _logarithmic(axes: "Axes", costs: list[float]) -> None:
    """Costs over decades; 0, which kNN has, stands to the left of the least of the others."""
    from hma_ft.reporting.figure_ticks import readable_log_ticks

    positive = [cost for cost in costs if cost > 0.05]
    if not positive or max(positive) < 3 * min(positive):
        axes.locator_params(axis="x", nbins=4)
        axes.ticklabel_format(axis="x", style="plain", useOffset=False)
        return
    if min(costs) > 0.05:
        axes.set_xscale("log")
        readable_log_ticks(axes.xaxis)
        return
    least = 10 ** math.floor(math.log10(min(positive)))
    axes.set_xscale("symlog", linthresh=least, linscale=0.4)
    axes.set_xlim(left=-0.3 * least)
    readable_log_ticks(axes.xaxis, linear_below=least)


def pareto_front(points: list[tuple[float, float]], *, higher_is_better: bool) -> list[tuple[float, float]]:
    """Points (cost, metric) to which no other is at least equal in both and better in one, by rising cost."""
    sign = 1.0 if higher_is_better else -1.0
    front: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * point[1] > sign * front[-1][1]:
            front.append(point)
    return front
