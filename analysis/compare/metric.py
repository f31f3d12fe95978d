"""The metrics that runs can be compared by, and how numbers are written."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One number of a split."""

    key: str
    title: str
    share: bool  # written in percent
    higher_is_better: bool

    @property
    def unit(self) -> str:
        """Heads of columns carry it."""
        return f"{self.title} %" if self.share else self.title

    @property
    def difference_unit(self) -> str:
        """The unit of a difference."""
        return "points" if self.share else self.title

    def text(self, value: float | None, *, sign: bool = False) -> str:
        """A value as tables have it."""
        if value is None or not math.isfinite(value):
            return ""
        return f"{100 * value:{'+' if sign else ''}.2f}" if self.share else f"{value:{'+' if sign else ''}.4f}"

    def signed(self, value: float | None) -> str:
        """A difference as tables have it."""
        return self.text(value, sign=True)

    def interval(self, low: float | None, high: float | None, *, sign: bool = False) -> str:
        """`81.20 to 83.01`; empty where there is none."""
        ends = self.text(low, sign=sign), self.text(high, sign=sign)
        return " to ".join(ends) if all(ends) else ""

    def signed_interval(self, low: float | None, high: float | None) -> str:
        """`-0.20 to +3.01`."""
        return self.interval(low, high, sign=True)


METRICS = {
    metric.key: metric
    for metric in (
        Metric("top1", "top-1", True, True),
        Metric("top5", "top-5", True, True),
        Metric("mean_per_class", "class mean", True, True),
        Metric("nll", "NLL", False, False),
        Metric("ece", "ECE", True, False),
        Metric("aurc", "AURC", False, False),
    )
}


def probability(p: float | None) -> str:
    """A p value with three digits; never 0."""
    if p is None or not math.isfinite(p):
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def plain(value: float | None, digits: int = 0) -> str:
    """A number with thousands apart; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"
