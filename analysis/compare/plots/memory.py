"""Accuracy over the sizes of the two memories."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.compare.comparison import Comparison
from analysis.compare.plots.style import new_figure, with_titles
from analysis.compare.records.frame import setting
from analysis.compare.select import natural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REAL, SYNTHETIC = "method.hma.real.size", "method.hma.synthetic.slots"
Grid = tuple[list[str], list[str], np.ndarray]  # slots, rows, means [slots, rows]


def memory_grid(comparison: Comparison, dataset: str, split: str) -> Grid | None:
    """Mean metric by slots a class and rows of the real memory; None unless both are grouped by and vary.

    Other grouping keys than the method and the two must be constant.
    """
    if not {REAL, SYNTHETIC} <= set(comparison.by):
        return None
    found: dict[tuple[str, str], float] = {}
    for group in comparison.of(dataset):
        target, slot, row = (setting(group.runs, key).iloc[0] for key in ("method.target", SYNTHETIC, REAL))
        if target.rpartition(".")[2] != "HMA":
            continue  # a method without these memories has the settings, and ignores them
        if (slot, row) in found:
            return None
        found[slot, row] = float(pd.Series(comparison.scores(group, split=split)).mean())
    slots = sorted({place[0] for place in found}, key=natural)
    rows = sorted({place[1] for place in found}, key=natural)
    if len(slots) < 2 or len(rows) < 2:
        return None
    return slots, rows, np.array([[found.get((s, r), np.nan) for r in rows] for s in slots])


def memory_figure(comparison: Comparison, dataset: str) -> "Figure | None":
    """Val, by which a size is to be chosen, beside test."""
    grids = {split: memory_grid(comparison, dataset, split) for split in ("val", "test")}
    if any(grid is None for grid in grids.values()):
        return None
    figure = new_figure(11.0, 4.2)
    for axes, (split, grid) in zip(figure.subplots(1, 2), grids.items(), strict=True):
        assert grid is not None
        _heat_map(axes, comparison, grid, split)
    return with_titles(figure, dataset)


def _heat_map(axes: "Axes", comparison: Comparison, grid: Grid, split: str) -> None:
    slots, rows, means = grid
    scaled = 100 * means if comparison.metric.share else means
    image = axes.imshow(scaled, cmap="cividis", origin="lower", aspect="auto")
    axes.set_xticks(range(len(rows)), rows)
    axes.set_yticks(range(len(slots)), slots)
    axes.set(xlabel="rows of the real memory", ylabel="synthetic slots a class")
    axes.set_title(f"{split} {comparison.metric.unit}", fontsize=10)
    middle = (np.nanmin(scaled) + np.nanmax(scaled)) / 2
    for (row, column), value in np.ndenumerate(scaled):
        text = comparison.metric.text(float(means[row, column])) or "no run"
        shade = "black" if not np.isfinite(value) or value > middle else "white"
        axes.text(column, row, text, ha="center", va="center", fontsize=9, color=shade)
    axes.figure.colorbar(image, ax=axes, shrink=0.9)
