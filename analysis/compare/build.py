"""From the command's options to a report."""

import argparse

from analysis.compare.comparison import compare
from analysis.compare.load import load_directories
from analysis.compare.records import Records
from analysis.compare.report import Report, make_report
from analysis.compare.select import Selection, select


def records_of(options: argparse.Namespace) -> Records:
    """All that the source has which the options of `arguments.parse` name."""
    if options.mlflow is not None:
        from analysis.compare.load_mlflow import load_mlflow

        return load_mlflow(options.mlflow, options.experiment)
    return load_directories(options.runs)


def report_of(records: Records, options: argparse.Namespace, command: str) -> Report:
    """What the options ask for of these records; `command` stands in the output as the one that made it."""
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
    return make_report(comparison, command)
