"""The page that shows a run's figures and tables; no script, nothing from outside the folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from analysis.attention.statistics import Reading
from analysis.trained import Trained
from hma_ft.reporting.templates import render

TEMPLATE = Path(__file__).with_name("page.html.j2")
Table = tuple[list[str], list[list[str]]]  # heads of columns, rows


class Section(NamedTuple):
    """A figure with its explanation."""

    figure: str | None  # file beside the page; None: nothing to show, the text says why
    title: str
    text: str


def write_page(path: Path, trained: Trained, readings: Sequence[Reading], sections: Sequence[Section]) -> None:
    """index.html."""
    introduction = (
        f"Method {trained.config.method.name} on {trained.config.dataset.name}, {len(trained.splits.test)} test "
        f"images; headline inference mode: {trained.modes[0]}. Numbers: numbers.json."
    )
    text = render(
        TEMPLATE,
        title=f"What {trained.directory.resolve().name} looked at",
        introduction=introduction,
        shares=_share_table(readings),
        agreement=_agreement_table(readings),
        sections=sections,
    )
    path.write_text(text)


def _share_table(readings: Sequence[Reading]) -> Table:
    heads = [f"head {head}" for head in range(1, len(readings[0].shares) + 1)] if readings else []
    rows = [
        [
            reading.block,
            reading.mode,
            reading.source,
            f"{reading.share:.4f}",
            *(f"{share:.4f}" for share in reading.shares),
            f"{reading.rows:.0f}",
            "" if reading.effective_rows is None else f"{reading.effective_rows:.1f}",
        ]
        for reading in readings
    ]
    return ["block", "inference", "source", "share", *heads, "rows", "effective rows"], rows


def _agreement_table(readings: Sequence[Reading]) -> Table:
    rows = [
        [
            reading.source,
            reading.mode,
            name,
            *(f"{estimate.mean:.3f} ± {estimate.half_width:.3f}" for estimate in estimates.values()),
            f"{estimates['mass'].chance:.3f}",
        ]
        for reading in readings
        for name, estimates in reading.agreement.items()
    ]
    kinds = next((list(found) for reading in readings for found in reading.agreement.values()), [])
    return ["source", "inference", "class", *kinds, "chance"], rows
