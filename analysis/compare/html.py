"""One page with all tables and figures, that needs no other file."""

import base64
from html import escape
from pathlib import Path

from analysis.compare.report import Report
from analysis.compare.table import Table

_AT_END = ("differences", "runs")  # long, and for those who check
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #111; background: #fff; max-width: 78rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; caption-side: bottom; color: #444; font-size: .88rem; padding-top: .4rem; }
th, td { padding: .25rem .6rem; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
thead th { border-bottom: 2px solid #111; } .number { text-align: right; white-space: nowrap; }
code { background: #f2f2f2; padding: .1rem .3rem; overflow-wrap: anywhere; }
.statements { border-left: 4px solid #D55E00; padding: .2rem 1rem; background: #fdf5ef; }
figure { margin: 1.6rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #444; font-size: .88rem; }
@media print { body { max-width: none; margin: 0; font-size: 10px; } .scroll { overflow: visible; }
  figure, tr { break-inside: avoid; } }
"""


def page(report: Report, figures: list[tuple[str, str]], folder: Path) -> str:
    """HTML; `figures` are stems of PNG files in `folder` with their captions."""
    comparison = report.comparison
    title = f"{', '.join(comparison.groups)} on {', '.join(comparison.datasets)}"
    statements = "".join(f"<li>{escape(statement)}</li>" for statement in report.statements)
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        f"<p>Made by <code>{escape(report.command)}</code> from {escape(comparison.source)}.</p>",
        f'<div class="statements"><h2>What to know</h2><ul>{statements}</ul></div>' if statements else "",
        *(_table(table) for table in report.tables if table.name not in _AT_END),
        "<h2>Figures</h2>" if figures else "",
        *(_figure(folder / f"{stem}.png", caption) for stem, caption in figures),
        *(_table(table) for table in report.tables if table.name in _AT_END),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> str:
    kinds = [' class="number"' if column.right else "" for column in table.columns]
    head = "".join(f'<th scope="col"{k}>{escape(c.title)}</th>' for k, c in zip(kinds, table.columns, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{k}>{escape(cell)}</td>" for k, cell in zip(kinds, line, strict=True)) + "</tr>"
        for line in table.cells
    )
    caption = f"<caption>{escape(table.note)}</caption>" if table.note else ""
    return (
        f'<section id="{escape(table.name)}"><h2>{escape(table.title)}</h2><div class="scroll"><table>{caption}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div></section>"
    )


def _figure(path: Path, caption: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
