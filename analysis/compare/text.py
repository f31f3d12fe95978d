"""Tables for the terminal, as Markdown and as CSV."""

import csv
import io
import json
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from analysis.compare.report import Report
from analysis.compare.table import Table, json_value

_FILE_WIDTH = 200  # characters, where the output is no terminal
_ON_TERMINAL = ("summary", "verdict", "paired", "images", "modes", "cost", "aggregate", "grid", "differences")


def print_report(report: Report) -> None:
    """What one reads at once; the runs are in the files only."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_FILE_WIDTH)
    for table in report.tables:
        if table.name in _ON_TERMINAL:
            console.print(_rich(table))
    for statement in report.statements:
        console.print(f"- {statement}", markup=False, highlight=False, soft_wrap=True)


def _rich(table: Table) -> RichTable:
    made = RichTable(
        title=escape(table.title), caption=escape(table.note), box=box.SIMPLE, pad_edge=False, title_justify="left"
    )
    made.caption_justify = "left"
    for column in table.columns:
        made.add_column(escape(column.title), justify="right" if column.right else "left", overflow="fold")
    for line in table.cells:
        made.add_row(*map(escape, line))
    return made


def markdown(report: Report, figures: list[tuple[str, str]]) -> str:
    """All tables, statements and figures (file stem, caption) as GitHub's Markdown."""
    comparison = report.comparison
    parts = [f"# Comparison of {', '.join(comparison.groups)} on {', '.join(comparison.datasets)}"]
    parts.append(f"Made by\n\n    {report.command}")
    if report.statements:
        parts.append("\n".join(f"- {statement}" for statement in report.statements))
    for table in report.tables:
        parts += [f"## {table.title}", markdown_table(table), table.note]
    parts += ["## Figures"] if figures else []
    parts += [f"{caption}\n\n![{caption}]({stem}.png)" for stem, caption in figures]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """One table."""
    lines = [[column.title for column in table.columns], ["---:" if c.right else ":---" for c in table.columns]]
    lines += table.cells
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def csv_text(table: Table) -> str:
    """Raw rows; lists and mappings as JSON in their cell, nan and None empty."""
    stream = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in table.rows for name in row))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for row in table.rows:
        writer.writerow([_cell(json_value(row.get(name))) for name in names])
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return "" if value is None else value
