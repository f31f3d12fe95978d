"""Writes docs/STUDY.md from the records.

python -m analysis.study --runs DIR [--out docs/STUDY.md]

A section whose sweep was not run says so; with none at all, exit code 2.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from analysis.compare.arguments import parse
from analysis.compare.build import report_of
from analysis.compare.load import load_directories
from analysis.compare.records import Records
from analysis.compare.report import Report
from analysis.study.page import Answer, page
from analysis.study.sections import SECTIONS, Section
from hma_ft.errors import UserError

PAGE = Path(__file__).resolve().parents[2] / "docs/STUDY.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line if there is nothing to write about."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="runs_dir of the sweeps")
    parser.add_argument(
        "--out", type=Path, default=PAGE, metavar="FILE", help="the page; figures go to a folder beside it"
    )
    chosen = parser.parse_args(arguments)
    try:
        records = load_directories([chosen.runs])
        answers = [_answer(section, records, chosen.out) for section in SECTIONS]
        if not any(answer.report for answer in answers):
            raise UserError(f"{chosen.runs} answers no question of the study: run a sweep of sweeps/study/ first")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(page(answers), encoding="utf-8")
    print(f"written to {chosen.out}")
    return 0


def _answer(section: Section, records: Records, out: Path) -> Answer:
    options = ["--sweep", section.sweep, *section.arguments]
    command = " ".join(["python -m analysis.compare", *options])
    if section.sweep not in {sweep.name for sweep in records.sweeps}:
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
    from analysis.compare.plots import draw  # matplotlib comes with it

    with tempfile.TemporaryDirectory() as folder:
        draw(report.comparison, Path(folder))
        target = out.parent / out.stem.lower() / f"{section.sweep}_{section.figure}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / f"{section.figure}.png", target)
    return target.relative_to(out.parent)


if __name__ == "__main__":
    sys.exit(main())
