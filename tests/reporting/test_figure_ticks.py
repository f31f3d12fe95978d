"""Labels of axes: rendered, at ranges that a run may have, they don't touch each other."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hma_ft.reporting.figure_ticks import ReadableFormatter, readable_log_ticks
from hma_ft.reporting.figures import curves_figure

RANGES = {
    "many decades": (1e-9, 30.0),
    "three decades": (0.004, 2.0),
    "one decade": (0.2, 3.0),
    "half a decade": (1.1, 4.3),
    "narrow": (0.690, 0.697),
    "very narrow": (1.00001, 1.00002),
    "constant": (0.7, 0.7),
    "small": (3e-7, 8e-7),
    "parameters": (1930.0, 85_000_000.0),
    "parameters of heads alike": (1_482_925.0, 1_482_954.0),
}


def labels_of(axis: Axis) -> list[str]:
    """Labels in view, after the assertion that no two of them share a pixel; the figure is drawn."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high and tick.label1.get_text()]
    boxes = [tick.label1.get_window_extent() for tick in ticks]
    for (one, a), (other, b) in itertools.combinations(zip(ticks, boxes, strict=True), 2):
        assert not a.overlaps(b), f"{one.label1.get_text()} lies on {other.label1.get_text()}"
    return [tick.label1.get_text() for tick in ticks]


@pytest.mark.parametrize("size", [(5.2, 4.0), (3.0, 2.2)], ids=["panel", "small panel"])
@pytest.mark.parametrize("limits", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("scale", ["log", "symlog"])
def test_logarithmic_labels_stay_apart(limits: tuple[float, float], size: tuple[float, float], scale: str) -> None:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    values = np.geomspace(*limits, 20) if limits[0] < limits[1] else np.array(limits)
    least = 10 ** np.floor(np.log10(values.min()))
    axes.plot([0, *values] if scale == "symlog" else values, [0, *values] if scale == "symlog" else values)
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        options = {"linthresh": least, "linscale": 0.4} if scale == "symlog" else {}
        (axes.set_xscale if name == "x" else axes.set_yscale)(scale, **options)
        readable_log_ticks(axis, linear_below=least if scale == "symlog" else None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    for axis in (axes.xaxis, axes.yaxis):
        labels = labels_of(axis)
        assert len(labels) == len(set(labels)) and 1 <= len(labels) <= 8
        if size[0] > 5:
            assert len(labels) >= 2


def test_two_labels_tell_the_scale_of_a_panel() -> None:
    """At every range of losses, also within one decade, where matplotlib's own may leave none."""
    for low, decades in itertools.product((1.01, 1.7, 3.3, 9.2), (0.02, 0.1, 0.5, 1.0, 2.5, 6.0, 12.0)):
        figure = Figure(figsize=(5.2, 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set_yscale("log")
        axes.plot([0, 1], [low * 1e-3, low * 1e-3 * 10**decades])
        readable_log_ticks(axes.yaxis)
        figure.canvas.draw()
        assert 2 <= len(labels_of(axes.yaxis)) <= 7


def test_labels_are_numbers_or_powers_of_ten_and_say_what_they_stand_at() -> None:
    formatter = ReadableFormatter()
    assert formatter.format_ticks([0.01, 0.1, 1.0]) == ["0.01", "0.1", "1"]
    assert formatter.format_ticks([0.692, 0.694]) == ["0.692", "0.694"]
    assert formatter.format_ticks([0.0, 1000.0, 10000.0]) == ["0", "1000", "10000"]
    assert formatter.format_ticks([1e-4, 1.0, 300.0]) == ["$10^{-4}$", "1", r"$3{\times}10^{2}$"]
    assert formatter.format_ticks([1.25e-5]) == [r"$1.25{\times}10^{-5}$"]


CURVES = {
    "many decades": [*np.geomspace(2, 1e-7, 300)],
    "constant": [0.7] * 40,
    "narrow": [*np.linspace(0.690001, 0.690009, 40)],
    "one point": [0.7],
}


@pytest.mark.parametrize("every", [1, 125, 7000, 250_000])
@pytest.mark.parametrize("losses", CURVES.values(), ids=CURVES)
def test_curves_of_a_run_of_any_length(losses: list[float], every: int, tmp_path: Path) -> None:
    rows = [
        {"step": every * (index + 1), "train/loss": loss, "train/lr": 0.01 / (index + 1), "val/top1": 0.5}
        for index, loss in enumerate(losses)
    ]
    figure = curves_figure(rows)
    figure.canvas.draw()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            assert labels_of(axis)
