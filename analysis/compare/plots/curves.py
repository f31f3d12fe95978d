"""Learning curves with bands over seeds."""

import math
from typing import TYPE_CHECKING

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.plots.style import cut, legend_height, new_figure, style_of, tidy, with_titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = {"train/loss": "training loss, nats", "val/top1": "val top-1 %"}


def curves_figure(comparison: Comparison, dataset: str) -> "Figure | None":
    """Mean over seeds, and a band from the least to the largest; None where no run has a curve."""
    from hma_ft.reporting.figure_ticks import readable_log_ticks, readable_step_ticks

    figure = new_figure(11.5, legend_height(len(comparison.of(dataset)), 4.0))
    axes = figure.subplots(1, 2, sharex=True)
    drawn = False
    for group in comparison.of(dataset):
        rows = [run.read_rows() for run in group.runs["run"]]
        index = comparison.labels.index(group.label)
        for panel, key in zip(axes, CURVES, strict=True):
            series = [_series(found, key) for found in rows]
            drawn |= _curve(panel, series, group, index, scale=100.0 if key.endswith("top1") else 1.0)
    for panel, (key, label) in zip(axes, CURVES.items(), strict=True):
        panel.set(xlabel="step", ylabel=label)
        readable_step_ticks(panel.xaxis)
        if key == "train/loss":
            panel.set_yscale("log")
            readable_log_ticks(panel.yaxis)
        tidy(panel)
    return with_titles(figure, dataset, axes[1]) if drawn else None


def _series(rows: list[dict[str, float]], key: str) -> dict[int, float]:
    return {int(row["step"]): row[key] for row in rows if key in row and math.isfinite(row[key])}


def common_steps(series: list[dict[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Steps that all runs have [T], and their values [runs, T]."""
    steps = sorted(set.intersection(*map(set, series))) if series else []
    return np.array(steps, dtype=int), np.array([[found[step] for step in steps] for found in series])


def _curve(axes: "Axes", series: list[dict[int, float]], group: Group, index: int, *, scale: float) -> bool:
    steps, values = common_steps(series)
    if not len(steps):
        return False
    values, (colour, marker, line) = scale * values, style_of(index)
    if len(steps) == 1:  # of a method without training: its level, over the whole width
        axes.axhline(values.mean(), color=colour, linestyle=line, linewidth=1.4, label=cut(group.label))
        return True
    every = max(1, len(steps) // 8)
    look = {"color": colour, "linestyle": line, "linewidth": 1.6, "marker": marker, "markersize": 5}
    axes.plot(steps, values.mean(axis=0), label=cut(group.label), markevery=(index % every, every), **look)
    axes.fill_between(steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    return True
