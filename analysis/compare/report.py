"""All tables and notes of a comparison: what every output is made from."""

import argparse
from dataclasses import dataclass

from analysis.compare.comparison import Comparison, compare
from analysis.compare.records.directories import load_directories
from analysis.compare.records.frame import Records
from analysis.compare.select import Selection, select
from analysis.compare.tables.cost import cost_table
from analysis.compare.tables.inference_modes import modes_table
from analysis.compare.tables.overview import aggregate_table, differences_table
from analysis.compare.tables.paired_images import images_table
from analysis.compare.tables.paired_seeds import paired_table
from analysis.compare.tables.summary import grid_table, runs_table, summary_table
from analysis.compare.tables.table import Table
from analysis.compare.tables.verdict import verdict_notes, verdict_table


@dataclass(frozen=True)
class Report:
    """A comparison with its tables."""

    comparison: Comparison
    command: str
    notes: list[str]
    tables: list[Table]  # those that have rows

    def table(self, name: str) -> Table | None:
        """One table by name."""
        return next((table for table in self.tables if table.name == name), None)


def records_of(options: argparse.Namespace) -> Records:
    """All that the source has which the options of `arguments.parse` name."""
    if options.mlflow is not None:
        from analysis.compare.records.mlflow import load_mlflow

        return load_mlflow(options.mlflow, options.experiment)
    return load_directories(options.runs)


def report_of(records: Records, options: argparse.Namespace, command: str) -> Report:
    """What the options ask for of these records; `command` stands in the output as the one that made it."""
    runs, notes = select(records, Selection(options.sweep, options.dataset, options.method, options.where))
    comparison = compare(
        records.source,
        runs,
        by=options.by,
        tuned=options.tune,
        metric=options.metric,
        mode=options.inference,
        baseline=options.baseline,
        level=options.level,
        force=options.force,
        notes=notes,
    )
    verdicts, (images, image_notes), (overall, overall_notes) = (
        verdict_table(comparison),
        images_table(comparison),
        aggregate_table(comparison),
    )
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
    notes = [*comparison.notes, *verdict_notes(comparison, verdicts), *image_notes, *overall_notes]
    return Report(comparison, command, notes, [table for table in tables if len(table.rows)])
