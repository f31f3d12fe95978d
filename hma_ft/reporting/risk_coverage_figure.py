"""The risk-coverage curve of a run, in the style of `figures`."""

from pathlib import Path
from typing import TYPE_CHECKING

from hma_ft.reporting.figures import RATE, TRAIN

if TYPE_CHECKING:
    import numpy as np

LEAST_SHOWN = 0.02  # coverage below which a few images decide the risk, and the axis


def risk_coverage_png(path: Path, coverage: "np.ndarray", risk: "np.ndarray", *, area: float) -> None:
    """Write the curve of coverages and risks [N]; `area` is the AURC. Dotted: answering images at random.

    The risk axis is made for coverages from 2 % on: the first images may all be wrong, or right.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.2), dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.13, right=0.97, bottom=0.12, top=0.92)
    error = float(risk[-1])
    axes.plot(coverage, risk, color=TRAIN, label=f"by confidence, AURC {area:.4f}")
    axes.axhline(error, color=RATE, linewidth=0.8, linestyle=":", label=f"at random, error {error:.4f}")
    top = max(error, float(risk[coverage >= LEAST_SHOWN].max()))
    axes.set(
        title="Test images, the most confident first",
        xlabel="coverage: share of images answered",
        ylabel="risk: share of these that are wrong",
        xlim=(0.0, 1.0),
        ylim=(0.0, 1.15 * top or 1.0),
    )
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
