"""The page that shows a run's figures and tables; no script, nothing from outside the folder."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from analysis.attention.statistics import Reading
from analysis.trained import Trained

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1180px; padding: 0 1em; color: #111; }
img { max-width: 100%; } table { border-collapse: collapse; margin: 1em 0; } h2 { margin-top: 2em; }
td, th { padding: .25em .7em; border-bottom: 1px solid #ddd; text-align: right; }
td:nth-child(-n+3), th:nth-child(-n+3) { text-align: left; }
"""


class Section(NamedTuple):
    """A figure with its explanation."""

    figure: str | None  # file beside the page; None: nothing to show, the text says why
    title: str
    text: str


def write_page(path: Path, trained: Trained, readings: Sequence[Reading], sections: Sequence[Section]) -> None:
    """index.html."""
    title = f"What {trained.directory.resolve().name} looked at"
    count = len(trained.splits.test)
    introduction = (
        f"Method {trained.config.method.name} on {trained.config.dataset.name}, {count} test images; headline "
        f"inference mode: {trained.modes[0]}. Numbers: numbers.json."
    )
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(introduction)}</p>",
        "<h2>Shares of the attention</h2>",
        _share_table(readings),
        "<h2>Class agreement</h2>",
        _agreement_table(readings),
    ]
    for section in sections:
        body.append(f"<h2>{escape(section.title)}</h2><p>{escape(section.text)}</p>")
        if section.figure is not None:
            body.append(f'<img src="{escape(section.figure)}" alt="{escape(section.title)}">')
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    path.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n')


def _share_table(readings: Sequence[Reading]) -> str:
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
    return _table(["block", "inference", "source", "share", *heads, "rows", "effective rows"], rows)


def _agreement_table(readings: Sequence[Reading]) -> str:
    rows = [
        [
            reading.source,
            reading.mode,
            name,
            *(f"{figure.mean:.3f} ± {figure.half_width:.3f}" for figure in figures.values()),
            f"{figures['mass'].chance:.3f}",
        ]
        for reading in readings
        for name, figures in reading.agreement.items()
    ]
    kinds = next((list(figures) for reading in readings for figures in reading.agreement.values()), [])
    return _table(["source", "inference", "class", *kinds, "chance"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
