"""Figures of one run. Colours are readable with every colour vision (Okabe and Ito), and in grey.

Matplotlib is imported inside: it takes a second.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN, VAL, RATE = "#0072B2", "#D55E00", "#555555"
NAMES_UP_TO = 60  # classes; more names than that can't be read
COUNTS_UP_TO = 20
WORST = 18  # confusions that are named where the axes have no names


def confusion_png(path: Path, confusion: "np.ndarray", class_names: Sequence[str]) -> None:
    """Confusion matrix, int [C, C], row: true class. Colour is the share of the true class's images.

    Few classes: names, and counts in the cells. Many: the matrix beside a list of the most frequent confusions.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    count, named = len(class_names), len(class_names) <= NAMES_UP_TO
    shares = confusion / confusion.sum(axis=1, keepdims=True).clip(min=1)
    side = max(4.5, min(14.0, 2.0 + 0.32 * count)) if named else 9.5
    figure = Figure(figsize=(side + 1.0, side) if named else (side + 5.0, side), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 1 if named else 2, width_ratios=None if named else [9, 5], squeeze=False)[0]
    # the square root of the share, on white: single confusions stay visible
    image = axes[0].imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0), interpolation="none")
    correct, total = int(confusion.trace()), int(confusion.sum())
    title = f"{total} images, {correct / max(total, 1):.1%} correct"
    axes[0].set(xlabel="predicted class", ylabel="true class", title=title)
    if named:
        size = 9 if count <= COUNTS_UP_TO else 8
        names = [_cut(name, 24) for name in class_names]
        axes[0].set_xticks(range(count), names, rotation=90, fontsize=size, parse_math=False)
        axes[0].set_yticks(range(count), names, fontsize=size, parse_math=False)
    if count <= COUNTS_UP_TO:
        _write_counts(axes[0], confusion, shares)
    figure.colorbar(image, ax=axes[0], label="share of the true class", shrink=0.8, ticks=[0, 0.05, 0.1, 0.25, 0.5, 1])
    if not named:
        _list_confusions(axes[1], confusion, shares, class_names)
    figure.savefig(path)


def _write_counts(axes: "Axes", confusion: "np.ndarray", shares: "np.ndarray") -> None:
    for (row, column), number in _cells(confusion):
        if number:
            colour = "white" if shares[row, column] > 0.3 else "black"
            text = axes.text(column, row, str(number), ha="center", va="center", fontsize=8, color=colour)
            text.set_in_layout(False)  # it lies within the axes, and measuring a hundred of them takes time


def _cells(confusion: "np.ndarray") -> list[tuple[tuple[int, int], int]]:
    side = range(len(confusion))
    return [((row, column), int(confusion[row, column])) for row in side for column in side]


def _list_confusions(axes: "Axes", confusion: "np.ndarray", shares: "np.ndarray", names: Sequence[str]) -> None:
    """The most frequent mistakes, by name."""
    wrong = [((r, c), n) for (r, c), n in _cells(confusion) if r != c and n]
    wrong.sort(key=lambda cell: -cell[1])
    axes.axis("off")
    axes.set_title("Most frequent confusions: true, predicted", loc="left", fontsize=10)
    lines = [
        f"{n:4d} ({shares[r, c]:4.0%})  {_cut(names[r], 32)}\n             {_cut(names[c], 32)}\n"
        for (r, c), n in wrong[:WORST]
    ]
    style: dict[str, Any] = {"va": "top", "family": "monospace", "fontsize": 9, "transform": axes.transAxes}
    text = axes.text(0.0, 0.99, "\n".join(lines), parse_math=False, **style)
    text.set_in_layout(False)  # it would take the room of the matrix


def _cut(name: str, limit: int) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def curves_png(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the learning curves of the rows of metrics.jsonl."""
    curves_figure(rows).savefig(path)


def curves_figure(rows: Sequence[dict[str, Any]]) -> "Figure":
    """Loss (train and val), val top-1 and learning rate over steps, from the rows of metrics.jsonl."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from hma_ft.reporting.figure_ticks import readable_step_ticks

    figure = Figure(figsize=(12.0, 3.8), dpi=120)  # margins that all values fit: to find them would draw it twice
    FigureCanvasAgg(figure)
    loss, accuracy, rate = figure.subplots(1, 3)
    figure.subplots_adjust(left=0.055, right=0.985, bottom=0.135, top=0.9, wspace=0.27)
    train, val = _series(rows, "train/loss"), _series(rows, "val/loss") or _series(rows, "val/nll")
    many = len(train) > 50
    if train:
        loss.plot(*_columns(train), color=TRAIN, alpha=0.35 if many else 1.0, label="train", **_marks(train))
    if many:
        loss.plot(*_columns(_smooth(train)), color=TRAIN, label="train, smoothed")
    if val:
        loss.plot(*_columns(val), color=VAL, label="val", **_marks(val))
    loss.set(title="Loss", ylabel="nats")
    top1 = _series(rows, "val/top1")
    accuracy.plot(*_columns(top1), color=VAL, label="val top-1", **_marks(top1))
    accuracy.set(title="Val top-1 accuracy", ylabel="share correct")
    if top1:
        step, best = max(top1, key=lambda point: (point[1], -point[0]))
        accuracy.axhline(best, color=RATE, linewidth=0.8, linestyle=":")
        accuracy.plot(
            [step], [best], color=RATE, marker="*", markersize=11, linestyle="", label=f"best {best:.4f}, step {step}"
        )
    rates = _series(rows, "train/lr")
    rate.plot(*_columns(rates), color=RATE)
    rate.set(title="Learning rate")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    for axes, points in ((loss, train or val), (accuracy, top1), (rate, rates)):
        if not points:
            axes.text(0.5, 0.5, "no values", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
            continue
        axes.set_xlabel("step")
        readable_step_ticks(axes.xaxis)
        if len({step for step, _ in points}) == 1:  # of a method without training
            axes.set_xticks([points[0][0]])
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0] and axes is not rate:
            axes.legend(frameon=False, fontsize=8)
    return figure


def _series(rows: Sequence[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(row["step"], row[name]) for row in rows if name in row and math.isfinite(row[name])]


def _columns(points: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _smooth(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Exponential mean over about a twentieth of the points, without the start's bias (Adam's correction)."""
    keep = 1.0 - 20.0 / len(points) if len(points) > 40 else 0.5
    mean, weight, smoothed = 0.0, 0.0, []
    for step, value in points:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        smoothed.append((step, mean / weight))
    return smoothed


def _marks(points: list[tuple[int, float]]) -> dict[str, Any]:
    """A marker at each value, as long as they stay apart."""
    return {"marker": "o", "markersize": 3} if len(points) <= 50 else {}
