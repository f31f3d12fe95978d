"""Heat maps of attention: between the images of a batch, and from images to memory rows and classes.

Matplotlib is imported inside: it takes a second.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

from analysis.attention.examples import BetweenDatapoints, Examples

# Okabe and Ito: apart with every colour vision
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
NAMES_UP_TO = 60


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure that draws without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def between_png(path: Path, between: BetweenDatapoints, examples: Examples, class_names: Sequence[str]) -> None:
    """Mean and heads side by side: sorted by class above, the same batch shuffled below; class means at the left."""
    heads = len(between.by_class)
    figure = new_figure(4.2 + 2.9 * (heads + 1), 7.2)
    grid = figure.subplots(2, heads + 2, squeeze=False)
    top = max(float(between.by_class.max()), 1e-12)
    names = [cut(class_names[label]) for label in examples.classes]
    _block_means(figure, grid[0][0], between.block_means, names)
    _legend(grid[1][0], names)
    for row, (weights, labels, title) in enumerate(
        (
            (between.by_class, examples.labels, "by class"),
            (between.shuffled, examples.labels[between.order], "shuffled"),
        )
    ):
        for column, matrix in enumerate([weights.mean(0), *weights]):
            axes = grid[row][column + 1]
            image = axes.imshow(matrix.numpy() ** 0.5, cmap="Blues", vmin=0, vmax=top**0.5, interpolation="none")
            axes.set_title(f"{'mean of heads' if column == 0 else f'head {column}'}, {title}", fontsize=9)
            _class_strips(axes, labels, examples.classes)
            if row == 0:
                _class_lines(axes, labels)
    ticks = np.linspace(0, top**0.5, 5)
    bar = figure.colorbar(image, ax=grid[:, 1:], ticks=ticks, shrink=0.6, label="attention weight (colour: its root)")
    bar.ax.set_yticklabels([f"{tick**2:.3f}" for tick in ticks])
    figure.savefig(path)


def memory_png(
    path: Path,
    *,
    what: str,
    weights: Tensor,
    row_classes: Tensor,
    examples: Examples,
    by_class: Tensor,
    evenly: Tensor,
    class_names: Sequence[str],
) -> None:
    """Above: the examples (rows) and what each memory row got, own class framed. Below: classes, over the test set.

    weights [N, n] with their rows' classes [n] (no class: -1); by_class and evenly [C, C], see `Reading`.
    """
    count = len(class_names)
    order = row_classes.argsort(stable=True)
    order = order[row_classes[order] >= 0]
    figure = new_figure(12.0, 3.2 + 0.1 * len(weights) + min(8.5, 3.5 + 0.14 * count))
    upper, lower = figure.subplots(2, 1, height_ratios=[2.2 + 0.1 * len(weights), min(8.5, 3.5 + 0.14 * count)])
    image = upper.imshow(weights[:, order].numpy(), cmap="Blues", vmin=0, aspect="auto", interpolation="none")
    sorted_classes = row_classes[order]
    _frame_own_class(upper, sorted_classes, examples.labels)
    _class_strips(upper, examples.labels, examples.classes, columns=False)
    upper.set_title(f"Attention of test images to {what} (mean of heads); framed: rows of the image's own class")
    named = sorted_classes if count <= NAMES_UP_TO else examples.labels
    centres = [
        (float((sorted_classes == label).nonzero().float().mean()), label)
        for label in named.unique().tolist()
        if (sorted_classes == label).any()
    ]
    upper.set_xticks(
        [centre for centre, _ in centres], [cut(class_names[c]) for _, c in centres], rotation=90, fontsize=7
    )
    figure.colorbar(image, ax=upper, label="attention weight")
    _lift(figure, lower, by_class, evenly, class_names, what)
    figure.savefig(path)


def cut(name: str, limit: int = 16) -> str:
    """A class name that fits an axis; no formula is read from it."""
    short = name if len(name) <= limit else name[: limit - 1] + "…"
    return short.replace("$", r"\$")


def _lift(
    figure: "Figure", axes: "Axes", by_class: Tensor, evenly: Tensor, class_names: Sequence[str], what: str
) -> None:
    """log2 of attention by class over what even reading would give: 0 where the class makes no difference."""
    from matplotlib import colormaps

    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.log2(by_class.numpy() / evenly.numpy())
    lift[~np.isfinite(lift)] = np.nan
    reach = max(0.1, float(np.nanmax(np.abs(lift))) if np.isfinite(lift).any() else 0.1)
    colours = colormaps["PuOr_r"].with_extremes(bad="#bbbbbb")
    image = axes.imshow(lift, cmap=colours, vmin=-reach, vmax=reach, interpolation="none", aspect="auto")
    axes.set(
        ylabel="class of the test image",
        xlabel="class of the memory row",
        title=f"Whole test set: attention to {what}, by class",
    )
    if len(class_names) <= NAMES_UP_TO:
        names = [cut(name) for name in class_names]
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), names, fontsize=7)
    figure.colorbar(image, ax=axes, label="log2 of (attention / even reading); grey: none to read")


def _block_means(figure: "Figure", axes: "Axes", means: Tensor, names: list[str]) -> None:
    axes.imshow(means.numpy(), cmap="Blues", vmin=0, interpolation="none")
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("mean weight, class to class\n(own column left out)", fontsize=9)
    middle = float(means.nan_to_num().max()) / 2
    for row, values in enumerate(means.tolist()):
        for column, value in enumerate(values):
            colour = "white" if value > middle * 1.3 else "black"
            axes.text(column, row, f"{value:.4f}", ha="center", va="center", fontsize=7, color=colour)


def _legend(axes: "Axes", names: list[str]) -> None:
    from matplotlib.patches import Patch

    axes.set_axis_off()
    patches = [Patch(color=COLOURS[place % len(COLOURS)], label=name) for place, name in enumerate(names)]
    axes.legend(handles=patches, loc="upper left", frameon=False, title="strips: class of the image", fontsize=8)


def _class_strips(axes: "Axes", labels: Tensor, classes: list[int], *, columns: bool = True) -> None:
    """A coloured strip beside the rows, and above the columns."""
    style: dict[str, Any] = {"clip_on": False, "linewidth": 0}
    from matplotlib.patches import Rectangle

    for place, label in enumerate(labels.tolist()):
        colour = COLOURS[classes.index(label) % len(COLOURS)]
        side = Rectangle((-0.025, place - 0.5), 0.02, 1, transform=axes.get_yaxis_transform(), color=colour, **style)
        axes.add_patch(side)
        if columns:
            across = axes.get_xaxis_transform()
            axes.add_patch(Rectangle((place - 0.5, 1.005), 1, 0.02, transform=across, color=colour, **style))
    axes.set_yticks([])
    axes.set_xticks([])


def _class_lines(axes: "Axes", labels: Tensor) -> None:
    for place in range(1, len(labels)):
        if labels[place] != labels[place - 1]:
            axes.axhline(place - 0.5, color="#444444", linewidth=0.6)
            axes.axvline(place - 0.5, color="#444444", linewidth=0.6)


def _frame_own_class(axes: "Axes", sorted_classes: Tensor, labels: Tensor) -> None:
    """A frame around the images of a class and the rows of the same class; both are sorted by class."""
    from matplotlib.patches import Rectangle

    for label in labels.unique().tolist():
        own, images = ((classes == label).nonzero().squeeze(1) for classes in (sorted_classes, labels))
        if len(own):
            corner = (int(own[0]) - 0.5, int(images[0]) - 0.5)
            frame = Rectangle(corner, len(own), len(images), fill=False, edgecolor="#D55E00", linewidth=1.2)
            axes.add_patch(frame)
