"""How figures look: colours that everyone can tell apart (Okabe and Ito 2008), markers and line styles beside them."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's without their yellow, which is too light on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">", "p")  # 11 beside 7 colours: 77 groups differ
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
BETTER, WORSE = COLOURS[0], COLOURS[1]
GREY = "#555555"
DPI = 150


class Style(NamedTuple):
    """How a group is drawn."""

    colour: str
    marker: str
    line: Any


def style_of(index: int) -> Style:
    """Style of a group by its place."""
    return Style(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)], LINES[index % len(LINES)])


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def with_titles(figure: "Figure", title: str, legend_of: "Axes | None" = None) -> "Figure":
    """The figure with its title, and a legend beside it of what one panel shows."""
    if legend_of is not None:
        handles, labels = legend_of.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    return figure


def save(figure: "Figure", folder: Path, stem: str) -> None:
    """`stem.png` and `stem.pdf`; the PDF has no date, so that equal runs give equal files."""
    figure.savefig(folder / f"{stem}.png", dpi=DPI)
    figure.savefig(folder / f"{stem}.pdf", metadata={"CreationDate": None})


def tidy(axes: "Axes", *, grid: str = "both") -> None:
    """Light grid, no frame above and to the right."""
    axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_height(entries: int, least: float) -> float:
    """Inches of a figure with a legend beside it."""
    return max(least, 0.19 * entries + 0.6)


def panel_grid(count: int, *, across: int = 3) -> tuple[int, int]:
    """Rows and columns for `count` panels."""
    columns = min(across, count)
    return math.ceil(count / columns), columns


def panels(figure: "Figure", count: int, *, across: int = 3, **options: Any) -> "list[Axes]":
    """So many panels in rows; places that are left over are empty."""
    rows, columns = panel_grid(count, across=across)
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).ravel())
    for panel in axes[count:]:
        panel.set_axis_off()
    return axes


def cut(text: str, limit: int = 40) -> str:
    """A label of bearable length."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
