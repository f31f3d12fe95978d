"""`python -m analysis.compare`: read, choose, compare, print, write."""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from analysis.arguments import exit_code, require_file, require_folder
from analysis.compare.arguments import parse
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
    from analysis.compare.output.terminal import print_report  # pandas and scipy come with it
    from analysis.compare.report import records_of, report_of

    report = report_of(records_of(options), options, command_line())
    print_report(report)
    if options.out is None and options.html is None:
        return
    from analysis.compare.output.files import write_folder, write_page
    from analysis.compare.plots.draw import draw  # matplotlib comes with it

    with ExitStack() as stack:
        folder = options.out or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        figures = [] if options.no_figures else draw(report.comparison, folder)
        if options.out is not None:
            write_folder(report, figures, folder)
            print(f"written to {folder}")
        if options.html is not None:
            write_page(report, figures, folder, options.html)
            print(f"written to {options.html}")


if __name__ == "__main__":
    sys.exit(main())
