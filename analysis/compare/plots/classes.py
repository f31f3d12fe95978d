"""Where a group and the baseline differ: by class, and by which classes are taken for which."""

from typing import TYPE_CHECKING

import numpy as np

from analysis.compare.comparison import Comparison
from analysis.compare.groups import Group
from analysis.compare.plots.style import BETTER, GREY, WORSE, cut, new_figure, panel_grid, panels, tidy, with_titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 40  # classes; of more, those with the largest differences
NAMED = 60  # classes whose names fit on the axes of a matrix
GROUPS = 8  # panels of a figure; further groups are left out
Shares = tuple[np.ndarray, list[str]]


def confusion_shares(group: Group, mode: str | None) -> Shares | None:
    """Share of each true class's images that are taken for each class [C, C], over all seeds, and class names."""
    counts: np.ndarray | None = None
    names: list[str] = []
    for run in group.runs["run"]:
        found = run.predictions(mode)
        if found is None or (names and found.class_names != names):
            return None
        names = found.class_names
        size = len(names)
        mine = np.bincount(found.labels * size + found.predicted, minlength=size**2).reshape(size, size)
        counts = mine if counts is None else counts + mine
    if counts is None:
        return None
    return counts / counts.sum(axis=1, keepdims=True).clip(min=1), names


def _pairs(comparison: Comparison, dataset: str) -> list[tuple[str, np.ndarray, list[str]]]:
    """Label, difference of confusion shares to the baseline [C, C] and class names of the first GROUPS groups."""
    found = []
    for group, base in comparison.comparisons:
        if group.dataset != dataset:
            continue
        mine, other = confusion_shares(group, comparison.mode), confusion_shares(base, comparison.mode)
        if mine is not None and other is not None and mine[1] == other[1]:
            found.append((group.label, mine[0] - other[0], mine[1]))
    return found[:GROUPS]


def per_class_figure(comparison: Comparison, dataset: str) -> "Figure | None":
    """Difference of each class's accuracy to the baseline's; a column a group, classes in one order."""
    pairs = _pairs(comparison, dataset)
    if not pairs:
        return None
    differences = np.array([100 * shares.diagonal() for _, shares, _ in pairs])  # [groups, C]
    order = np.argsort(-differences.mean(axis=0), kind="stable")
    if len(order) > SHOWN:
        largest = np.argsort(-np.abs(differences).max(axis=0), kind="stable")[:SHOWN]
        order = order[np.isin(order, largest)]
    rows, columns = panel_grid(len(pairs), across=4)
    figure = new_figure(2.2 + 2.6 * columns, 0.8 + rows * (0.8 + 0.22 * len(order)))
    axes = panels(figure, len(pairs), across=4, sharey=True, sharex=True)
    for panel, (group, _, _), values in zip(axes, pairs, differences[:, order], strict=False):
        _class_panel(panel, values)
        panel.set_title(cut(group), fontsize=10, parse_math=False)
    names = [cut(pairs[0][2][index], 24) for index in order]
    axes[0].set_yticks(range(len(order)), names, parse_math=False)
    for panel in axes:
        panel.tick_params(axis="y", labelsize=8)
    axes[0].set_ylim(len(order) - 0.5, -0.5)
    some = f", the {SHOWN} with the largest differences" if len(order) < differences.shape[1] else ""
    figure.supxlabel(f"accuracy of the class minus that of {comparison.baseline}, points{some}", fontsize=10)
    return with_titles(figure, dataset)


def _class_panel(axes: "Axes", values: np.ndarray) -> None:
    """Bars with a triangle at the end that points where they go, for readers without colour."""
    places = np.arange(len(values))
    for chosen, shade, sign in ((values > 0, BETTER, ">"), (values < 0, WORSE, "<")):
        axes.hlines(places[chosen], 0, values[chosen], color=shade, linewidth=3, alpha=0.8)
        axes.plot(values[chosen], places[chosen], sign, color=shade, markersize=5)
    same = values == 0
    axes.plot(values[same], places[same], "|", color=GREY)
    axes.axvline(0, color=GREY, linewidth=0.8)
    tidy(axes, grid="x")


def confusion_figure(comparison: Comparison, dataset: str) -> "Figure | None":
    """A matrix a group: points of a true class's images that went to another class than with the baseline."""
    pairs = _pairs(comparison, dataset)
    if not pairs:
        return None
    rows, columns = panel_grid(len(pairs), across=2)
    side = 5.0 if len(pairs[0][2]) <= 20 else 8.0
    figure = new_figure(side * columns + 0.8, side * rows)
    axes = panels(figure, len(pairs), across=2)
    largest = max(1.0, max(float(np.abs(100 * shares).max()) for _, shares, _ in pairs))
    image = None
    for panel, (group, shares, names) in zip(axes, pairs, strict=False):
        image = panel.imshow(100 * shares, cmap="PuOr", vmin=-largest, vmax=largest, interpolation="none")
        _label_matrix(panel, 100 * shares, names, dark_from=0.6 * largest)
        panel.set_title(f"{cut(group)} minus {cut(str(comparison.baseline))}", fontsize=10, parse_math=False)
    assert image is not None
    figure.colorbar(image, ax=axes, shrink=0.7, label="points of the true class's images")
    return with_titles(figure, dataset)


def _label_matrix(axes: "Axes", points: np.ndarray, names: list[str], *, dark_from: float) -> None:
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(names) <= NAMED:
        size = 8 if len(names) <= 20 else 6
        shown = [cut(name, 20) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=90, fontsize=size, parse_math=False)
        axes.set_yticks(range(len(names)), shown, fontsize=size, parse_math=False)
    if len(names) <= 12:
        for (row, column), value in np.ndenumerate(points):
            if abs(value) >= 0.5:
                shade = "white" if abs(value) > dark_from else "black"
                axes.text(column, row, f"{value:+.0f}", ha="center", va="center", fontsize=7, color=shade)
