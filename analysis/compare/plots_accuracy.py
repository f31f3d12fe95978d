"""Accuracy of the groups with intervals, and against what they cost."""

import math
from typing import TYPE_CHECKING

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Cell
from analysis.compare.plots_style import GREY, colour, cut, legend_height, marker, new_figure, panels, tidy
from analysis.compare.statistics import spread
from analysis.compare.summary import cost_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {"params/trainable": "trainable parameters", "time/from_nothing_s": "cost from nothing, s"}


def accuracy_figure(comparison: Comparison) -> "Figure":
    """A panel a data set: mean and t interval of each group, its seeds as small dots."""
    rows, columns = panels(len(comparison.datasets))
    height = max(1.8, 0.42 * len(comparison.groups) + 1.2)
    figure = new_figure(5.2 * columns + 1.0, height * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, dataset in zip(axes, comparison.datasets, strict=False):
        _accuracy_panel(panel, comparison, dataset)
    for panel in axes[len(comparison.datasets) :]:
        panel.set_axis_off()
    return figure


def _accuracy_panel(axes: "Axes", comparison: Comparison, dataset: str) -> None:
    scale = _scale(comparison)
    cells = comparison.of(dataset)
    for place, cell in enumerate(cells):
        index = comparison.groups.index(cell.group)
        values = [scale * value for value in comparison.scores(cell)]
        found = spread(values, level=comparison.level)
        if found.n > 1:
            half = found.mean - found.t.low
            axes.errorbar([found.mean], [place], xerr=[half], color=colour(index), capsize=4, linewidth=1.6)
        axes.plot(values, [place + 0.2] * len(values), ".", color=GREY, markersize=5, alpha=0.8)
        axes.plot([found.mean], [place], marker(index), color=colour(index), markersize=8)
    labels = [f"{cut(cell.group)} ({len(cell.runs)})" for cell in cells]
    axes.set_yticks(range(len(cells)), labels, parse_math=False)
    axes.set_ylim(len(cells) - 0.5, -0.5)
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
    """Mean test figure against each cost that is known; a line joins what nothing beats in both."""
    cells = comparison.of(dataset)
    costs = [key for key in COSTS if any(math.isfinite(cost_of(cell, key)) for cell in cells)]
    figure = new_figure(5.0 * len(costs) + 1.0, legend_height(len(cells), 4.4))
    axes = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for panel, key in zip(axes, costs, strict=True):
        _pareto_panel(panel, comparison, dataset, key)
        panel.set_xlabel(COSTS[key])
    axes[0].set_ylabel(f"test {comparison.metric.unit}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(dataset, x=0.02, ha="left", fontsize=11)
    return figure


def _pareto_panel(axes: "Axes", comparison: Comparison, dataset: str, key: str) -> None:
    points = []
    for cell in comparison.of(dataset):
        index = comparison.groups.index(cell.group)
        cost, score, half = _point(comparison, cell, key)
        if not (math.isfinite(cost) and math.isfinite(score)):
            continue
        style = {"color": colour(index), "markersize": 8, "capsize": 3, "linestyle": ""}
        axes.errorbar([cost], [score], yerr=[half], marker=marker(index), label=cut(cell.group), **style)  # type: ignore[arg-type]
        points.append((cost, score))
    _logarithmic(axes, [cost for cost, _ in points])
    front = pareto_front(points, higher_is_better=comparison.metric.higher_is_better)
    axes.plot(*zip(*front, strict=True), color=GREY, linewidth=1, linestyle="--", zorder=0) if front else None
    if comparison.metric.share:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -2.0), min(high, 102.0))
    tidy(axes)


def _point(comparison: Comparison, cell: Cell, key: str) -> tuple[float, float, float]:
    """Cost, mean figure, half the t interval (0 for one seed)."""
    scale = _scale(comparison)
    found = spread([scale * value for value in comparison.scores(cell)], level=comparison.level)
    half = found.mean - found.t.low if found.n > 1 else 0.0
    return cost_of(cell, key), found.mean, half


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
    """Points (cost, figure) to which no other is at least equal in both and better in one, by rising cost."""
    sign = 1.0 if higher_is_better else -1.0
    front: list[tuple[float, float]] = []
    for cost, score in sorted(points, key=lambda point: (point[0], -sign * point[1])):
        if not front or sign * score > sign * front[-1][1]:
            front.append((cost, score))
    return front
