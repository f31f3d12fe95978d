"""A report as files: Markdown, LaTeX and HTML by the templates beside this file, CSV by pandas, JSON."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis.compare.report import Report
from analysis.compare.tables.table import Table, frame
from hma_ft.reporting.templates import render

_HERE = Path(__file__).parent
FORMAT = 3  # raise it when keys of the JSON change their meaning
Figures = list[tuple[str, str]]  # stems of PNG files, captions
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "…": r"\dots{}",
}


def write_folder(report: Report, figures: Figures, folder: Path) -> None:
    """All but the page."""
    for name in ("comparison.md", "comparison.tex"):
        text = render(_HERE / f"{name}.j2", _FILTERS, report=report, figures=figures)
        (folder / name).write_text(text, encoding="utf-8")
    content = as_json(report, [stem for stem, _ in figures])
    (folder / "comparison.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    for table in report.tables:
        (folder / f"{table.name}.csv").write_text(csv_text(table), encoding="utf-8")


def write_page(report: Report, figures: Figures, folder: Path, path: Path) -> None:
    """One page with all tables and with the figures in `folder`, that needs no other file."""
    images = [(base64.b64encode((folder / f"{stem}.png").read_bytes()).decode(), text) for stem, text in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(_HERE / "page.html.j2", report=report, images=images), encoding="utf-8")


def markdown_table(table: Table) -> str:
    """One table as GitHub's Markdown."""
    lines = [[column.title for column in table.columns], ["---:" if c.right else ":---" for c in table.columns]]
    lines += table.cells
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _tex(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in text)


def _tex_number(text: str) -> str:
    """The same, with a real minus before numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", r"$-$", _tex(text))


_FILTERS: dict[str, Callable[..., str]] = {"tex": _tex, "tex_number": _tex_number, "markdown_table": markdown_table}


def csv_text(table: Table) -> str:
    """Raw rows; lists and mappings as JSON in their cell, nan and None empty."""
    rows = [{name: _csv_cell(value) for name, value in row.items()} for row in table.records]
    return frame(rows).to_csv(index=False, lineterminator="\n")


def _csv_cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def as_json(report: Report, figures: list[str]) -> dict[str, Any]:
    """Everything that the tables show, raw; shares between 0 and 1, times in seconds, memory in bytes."""
    comparison = report.comparison
    same = ("source", "by", "tuned", "baseline", "level", "datasets")
    return {
        "format": FORMAT,
        "command": report.command,
        "metric": comparison.metric.key,
        "higher_is_better": comparison.metric.higher_is_better,
        "inference": comparison.mode,
        "groups": comparison.labels,
        **{name: getattr(comparison, name) for name in same},
        "notes": report.notes,
        "tables": {
            table.name: {
                "title": table.title,
                "note": table.note,
                "rows": table.records,
                "text": {"head": [column.title for column in table.columns], "cells": table.cells},
            }
            for table in report.tables
        },
        "figures": figures,
    }
