"""`python -m analysis.compare`: read, choose, compare, print, write."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from analysis.arguments import exit_code, require_file, require_folder
from analysis.compare.arguments import parse
from analysis.compare.build import records_of, report_of
from analysis.compare.report import Report, write_json
from analysis.compare.text import csv_text, markdown, print_report
from hma_ft.rundir.environment import command_line


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line about what the user can mend."""
    options = parse(arguments)
    return exit_code(lambda: _compare(options))


def _compare(options: argparse.Namespace) -> None:
    if options.out is not None:
        require_folder("--out", options.out)
    if options.html is not None:
        require_file("--html", options.html)
    report = report_of(records_of(options), options, command_line())
    print_report(report)
    _write(report, options.out, options.html, figures=not options.no_figures)


def _write(report: Report, out: Path | None, html: Path | None, *, figures: bool) -> None:
    """Files and figures, if any are wanted."""
    if out is None and html is None:
        return
    with ExitStack() as stack:
        folder = out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        drawn = _draw(report, folder) if figures else []
        if out is not None:
            _write_folder(report, out, drawn)
            print(f"written to {out}")
        if html is not None:
            from analysis.compare.html import page

            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(page(report, drawn, folder), encoding="utf-8")
            print(f"written to {html}")


def _draw(report: Report, folder: Path) -> list[tuple[str, str]]:
    from analysis.compare.plots import draw  # matplotlib comes with it

    return draw(report.comparison, folder)


def _write_folder(report: Report, out: Path, figures: list[tuple[str, str]]) -> None:
    from analysis.compare.latex import latex

    (out / "comparison.md").write_text(markdown(report, figures), encoding="utf-8")
    (out / "comparison.tex").write_text(latex(report), encoding="utf-8")
    write_json(report, [stem for stem, _ in figures], out / "comparison.json")
    for table in report.tables:
        (out / f"{table.name}.csv").write_text(csv_text(table), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
