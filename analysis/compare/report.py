"""All tables and statements of a comparison, and their JSON form."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.compare.comparison import Comparison
from analysis.compare.overview import aggregate_table, differences_table, runs_table
from analysis.compare.paired import paired_table
from analysis.compare.paired_images import images_table
from analysis.compare.summary import cost_table, grid_table, modes_table, summary_table
from analysis.compare.table import Table, json_value
from analysis.compare.verdict import verdict_statements, verdict_table

FORMAT = 2  # raise it when keys of the JSON change their meaning


@dataclass(frozen=True)
class Report:
    """What every output is made from."""

    comparison: Comparison
    command: str
    statements: list[str]
    tables: list[Table]  # those that have rows

    def table(self, name: str) -> Table | None:
        """One table by name."""
        return next((table for table in self.tables if table.name == name), None)


def make_report(comparison: Comparison, command: str) -> Report:
    """Compute all tables."""
    statements = list(comparison.statements)
    verdicts = verdict_table(comparison)
    statements += verdict_statements(comparison, verdicts)
    images, image_notes = images_table(comparison)
    overall, notes = aggregate_table(comparison)
    tables = [
        summary_table(comparison),
        verdicts,
        paired_table(comparison),
        images,
        modes_table(comparison),
        cost_table(comparison),
        overall,
        grid_table(comparison),
        differences_table(comparison),
        runs_table(comparison),
    ]
    return Report(comparison, command, statements + image_notes + notes, [table for table in tables if table.rows])


def as_json(report: Report, figures: list[str]) -> dict[str, Any]:
    """Everything that the tables show, raw; shares between 0 and 1, times in seconds, memory in bytes."""
    comparison = report.comparison
    return {
        "format": FORMAT,
        "command": report.command,
        "source": comparison.source,
        "metric": comparison.metric.key,
        "higher_is_better": comparison.metric.higher_is_better,
        "inference": comparison.mode,
        "by": comparison.by,
        "tuned": comparison.tuned,
        "baseline": comparison.baseline,
        "level": comparison.level,
        "datasets": comparison.datasets,
        "groups": comparison.groups,
        "statements": report.statements,
        "tables": {
            table.name: {
                "title": table.title,
                "note": table.note,
                "rows": json_value(table.rows),
                "text": {"head": [column.title for column in table.columns], "cells": table.cells},
            }
            for table in report.tables
        },
        "figures": figures,
    }


def write_json(report: Report, figures: list[str], path: Path) -> None:
    """One JSON file."""
    path.write_text(json.dumps(as_json(report, figures), indent=1, allow_nan=False) + "\n")
