"""Ticks of axes whose range is not known beforehand: as many as there is room for, no two labels on each other.

matplotlib's own logarithmic ticks label every decade or, on a narrow range, every multiple, whatever room there is.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axis import Axis
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullFormatter

_MOST = 7  # labels of an axis
_LETTER = 0.62  # width of a letter, of the font's size
_APART = 0.8  # least gap between labels, of the font's size


def readable_log_ticks(axis: Axis, *, linear_below: float | None = None) -> None:
    """Label an axis of scale `log`, or `symlog` which is linear below `linear_below`."""
    axis.set_major_locator(ReadableLogLocator(linear_below))
    axis.set_major_formatter(ReadableFormatter())
    axis.set_minor_formatter(NullFormatter())


def readable_step_ticks(axis: Axis) -> None:
    """Label an axis of steps, whose numbers may be long, in whole numbers."""
    axis.set_major_locator(MaxNLocator(nbins=4, integer=True))


class ReadableLogLocator(LogLocator):
    """The finest ticks whose labels stay apart: round values of a narrow range, 1-2-5, 1-3, or every n-th decade."""

    def __init__(self, linear_below: float | None = None) -> None:
        super().__init__()
        self._linear_below = linear_below

    def __call__(self) -> list[float]:
        """Ticks of the range in view."""
        low, high = sorted(_of(self).get_view_interval())
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Ticks from `vmin` to `vmax`; 0 is one of them on an axis that shows it."""
        shows_zero = self._linear_below is not None and vmin <= 0
        zero, low = ([0.0], float(self._linear_below or 0)) if shows_zero else ([], vmin)
        single = zero
        if not 0 < low < vmax < math.inf:
            return zero
        for ticks in _candidates(low, vmax):
            chosen = zero + [tick for tick in ticks if low * (1 - 1e-9) <= tick <= vmax * (1 + 1e-9)]
            if len(chosen) <= _MOST and _have_room(_of(self), chosen):
                if len(chosen) > 1:
                    return chosen
                single = single or chosen
        return single


def _of(locator: LogLocator) -> Any:
    """The axis; matplotlib's types allow for a locator without one."""
    return locator.axis


def _have_room(axis: Any, ticks: Sequence[float]) -> bool:
    """Whether the labels of ticks, in rising order, stay apart; from the size of the font, without drawing."""
    size = axis._get_tick_label_size(axis.axis_name)
    across = axis.axis_name == "x"
    box = axis.axes.get_window_extent().transformed(axis.axes.get_figure(root=True).dpi_scale_trans.inverted())
    length = 72.0 * (box.width if across else box.height)  # points
    transform = axis.get_transform()
    low, high = transform.transform(sorted(axis.get_view_interval()))
    places = [length * (place - low) / (high - low) for place in transform.transform(ticks)]
    labels = ReadableFormatter().format_ticks(ticks)
    widths = [size * (_LETTER * visible_length(label) if across else 1.0) for label in labels]
    gaps = (b - a - (v + w) / 2 for a, b, v, w in zip(places, places[1:], widths, widths[1:], strict=False))
    return all(gap >= _APART * size for gap in gaps)


def _candidates(low: float, high: float) -> Iterator[list[float]]:
    """Ticks around low..high, finer ones first; those with a single tick are the last resort."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if high < 8 * low:
        for bins in (6, 5, 4, 3, 2, 1):
            yield list(MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        yield [step * 10.0**decade for decade in range(first, last + 1) for step in steps]
    for stride in range(2, max(3, last - first + 1)):
        yield [10.0**decade for decade in range(first, last + 1) if decade % stride == 0]


class ReadableFormatter(Formatter):
    """Plain numbers, or powers of ten where one lies beyond 0.001 to 99999; as many digits as tell the ticks apart."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """One number."""
        return self.format_ticks([x])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """All labels of an axis."""
        digits = next((n for n in range(1, 12) if all(_says(value, n) for value in values)), 12)
        if all(value == 0 or 1e-3 <= abs(value) < 1e5 for value in values):
            return [f"{float(f'{value:.{digits}g}'):.12g}" for value in values]
        return [_power(value, digits) for value in values]


def _says(value: float, digits: int) -> bool:
    return math.isclose(float(f"{value:.{digits}g}"), value, rel_tol=1e-9)


def _power(value: float, digits: int) -> str:
    """`10^-4` and `3 x 10^-4`, and numbers from 1 to 9 as they are."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    if value == 0 or int(exponent) == 0:
        return mantissa
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1" else rf"${mantissa}{{\times}}{power}$"


def visible_length(label: str) -> float:
    """Letters that a label is wide, raised ones counting two thirds."""
    if not label.startswith("$"):
        return len(label)
    plain, _, raised = label.strip("$").replace(r"{\times}", "x").partition("^")
    return len(plain) + 0.7 * len(raised.strip("{}"))
