"""Writes the pages of the study (docs/STUDY*.md) from the records.

python -m analysis.study [--runs DIR ...] [--out docs]

Sweeps that are in none of the folders are read from the archives beside the pages, where every sweep is put. A section
whose sweep was never run says so; a page of which none was run is left as it is. Exit code 2 where that is both of
them.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from analysis.arguments import exit_code, require_folder
from analysis.compare.arguments import parse
from analysis.compare.records.directories import load_directories
from analysis.compare.records.frame import Records
from analysis.compare.report import Report, report_of
from analysis.compare.select import Selection, find_sweep, select
from analysis.study.page import Answer, text_of
from analysis.study.pages import PAGES
from analysis.study.run_records import write_run_records
from analysis.study.section import Section
from hma_ft.config.paths import path_argument
from hma_ft.errors import UserError

DOCS = Path(__file__).resolve().parents[2] / "docs"
FILES = "study"  # the folder of figures and of the records of runs, beside the pages


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line if there is nothing to write about."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.study", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=path_argument, nargs="+", default=[], metavar="DIR", help="runs_dir of sweeps")
    parser.add_argument(
        "--out", type=path_argument, default=DOCS, metavar="DIR", help="of the pages; the rest goes to DIR/study"
    )
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _study(chosen.runs, chosen.out))


def _study(runs: Sequence[Path], out: Path) -> None:
    require_folder("--out", out)
    (out / FILES).mkdir(parents=True, exist_ok=True)
    records = load_directories([*runs, out / FILES])
    written = _write_pages(records, out)
    if not written:
        raise UserError(f"{records.source} answers no question of the study: run a sweep of sweeps/study/ first")
    for path in written:
        print(f"written to {path}")


def _write_pages(records: Records, out: Path) -> list[Path]:
    written = []
    for page in PAGES:
        answers = [_answer(section, records, out) for section in page.sections]
        if any(answer.report for answer in answers):
            sweeps = [sweep for answer in answers if answer.report for sweep in answer.section.sweeps]
            run_records = _run_records(sweeps, records, out)
            (out / page.file).write_text(text_of(page, answers, run_records), encoding="utf-8")
            written.append(out / page.file)
    return written


def _answer(section: Section, records: Records, out: Path) -> Answer:
    options = ["--sweep", *section.sweeps, *section.arguments]
    command = " ".join(["python -m analysis.compare", *options])
    if not {sweep.name for sweep in records.sweeps}.issuperset(section.sweeps):
        return Answer(section, command, None, "its sweep was not run")
    try:
        report = report_of(records, parse(options), command)
    except UserError as error:  # such as runs that can't be compared
        return Answer(section, command, None, str(error))
    return Answer(section, command, report, figure=_figure(section, report, out))


def _figure(section: Section, report: Report, out: Path) -> Path | None:
    """Draws the section's figure into the folder of the page; its path from there."""
    if section.figure is None:
        return None
    from analysis.compare.plots.draw import draw  # matplotlib comes with it

    with tempfile.TemporaryDirectory() as folder:
        draw(report.comparison, Path(folder), only=section.figure)
        target = Path(FILES, f"{section.sweeps[0]}_{section.figure}.png")
        (out / FILES).mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / f"{section.figure}.png", out / target)
    return target


def _run_records(sweeps: Sequence[str], records: Records, out: Path) -> list[Path]:
    """Writes the runs of each sweep into the folder of the figures; the files, from the pages."""
    files = []
    for sweep in dict.fromkeys(sweeps):
        runs, _ = select(records, Selection([sweep]))
        files += write_run_records(runs, find_sweep(records, sweep), out / FILES)
    return [path.relative_to(out) for path in files]


if __name__ == "__main__":
    sys.exit(main())
