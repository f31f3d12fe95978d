"""From the command's options to a report."""

import argparse

from analysis.compare.comparison import compare
from analysis.compare.load import load_directories
from analysis.compare.report import Report, make_report
from analysis.compare.select import Selection, select
from hma_ft.tracking.environment import command_line


def report_of(options: argparse.Namespace, command: str | None = None) -> Report:
    """What the options of `arguments.parse` ask for; `command` stands in the output as the one that made it."""
    if options.mlflow is not None:
        from analysis.compare.load_mlflow import load_mlflow

        records = load_mlflow(options.mlflow, options.experiment)
    else:
        records = load_directories(options.runs)
    selection = Selection(options.sweep, options.dataset, options.method, options.where)
    runs, notes = select(records, selection)
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
    return make_report(comparison, command or command_line())
