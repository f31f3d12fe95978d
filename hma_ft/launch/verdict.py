"""The verdict of a sweep as `python -m analysis.verdict` leaves it: verdict.json beside report.html."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hma_ft.launch.sweep import read_record

RECORD, PAGE, FOLDER = "verdict.json", "report.html", "comparison"  # in the folder of the sweep


@dataclass(frozen=True)
class Verdict:
    """What the comparison came to; shares between 0 and 1."""

    sentences: list[str]
    # dataset, group, seeds, mean, low, high, chosen, from_nothing_s; and against the baseline difference,
    # difference_low, difference_high, verdict, significant; None where there is none
    rows: list[dict[str, Any]]
    metric: str
    baseline: str
    warnings: list[str] = field(default_factory=list)
    asked: str = ""  # sweep.baseline, of which `baseline` is the group
    trials: list[str] = field(default_factory=list)  # keys of the trials that were compared, sorted


def read_verdict(directory: Path) -> Verdict | None:
    """The verdict of the sweep in a folder; None where there is none."""
    return read_record(directory / RECORD, Verdict)
