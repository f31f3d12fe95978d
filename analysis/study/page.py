"""The page of the study: questions, tables and figures of `analysis.compare`, verdicts; every number from a record."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.compare.output.files import markdown_table
from analysis.compare.report import Report
from analysis.compare.tables.table import raw_records
from analysis.contents import with_contents
from analysis.study.pages import Page
from analysis.study.section import Section

HEAD = """\
# {title}

For whoever wants the evidence: every question of the study with its tables, tests and threats;
[FINDINGS.md](FINDINGS.md) says what came out. Written by `python -m analysis.study`: every figure, table and verdict
below is computed from the records of the runs, whose sweeps lie in [sweeps/study/](../sweeps/study). To repeat it, run
each section's sweep, then that command with `--runs DIR`.

## Protocol

{backbone};
all methods that take steps see the same augmented views in the same order (released transform,
{steps} steps of {batch} images). Weights, and learning rates where there is a grid, are chosen on val; test is read
once, one image at a time (inference `alone`) unless a table says otherwise. Differences are paired by seed and test
image, and a verdict holds for other seeds and other test images at once (crossed random effects), after Holm's
correction over its table; [COMPARE.md](COMPARE.md) explains every column.
Runs were made with commit {commit} on {device}.
"""

RUN_BY_RUN = """\
## Run by run

Each run's settings and top-1 (CSV), and an archive of the runs with the class that each gave every test image. The
archives are records too: every command of this page works with `--runs docs/study`, nothing has to be trained for it.
"""


@dataclass(frozen=True)
class Answer:
    """A section with what was found; no report, but the problem, where its runs are missing or can't be compared."""

    section: Section
    command: str
    report: Report | None
    problem: str = ""
    figure: Path | None = None  # relative to the page


def text_of(page: Page, answers: list[Answer], run_records: list[Path]) -> str:
    """Markdown. At least one answer has a report; `run_records` are files, relative to the page."""
    run = next(a.report for a in answers if a.report).comparison.groups[0].runs["run"].iloc[0]
    head = HEAD.format(
        title=page.title,
        backbone=page.backbone,
        steps=run.params["trainer.max_steps"],
        batch=run.params["trainer.batch_size"],
        commit=", ".join(sorted({_commit(a.report) for a in answers if a.report})),
        device=run.env.get("device") or "an unknown device",
    )
    parts = [head, "## In short", _verdicts(answers)]
    for answer in answers:
        parts += _section(answer)
    listed = ", ".join(f"[{path.name}]({path.as_posix()})" for path in run_records)
    parts += [f"## Threats\n\n{page.threats}", f"{RUN_BY_RUN}\n{listed}."]
    return with_contents("\n\n".join(part.rstrip() for part in parts if part) + "\n")


def _commit(report: Report) -> str:
    git = report.comparison.groups[0].runs["run"].iloc[0].env.get("git") or {}
    return str(git.get("commit") or "unknown")[:12] + (" with changes" if git.get("dirty") else "")


def _section(answer: Answer) -> list[str]:
    section, parts = answer.section, [f"## {answer.section.title}", answer.section.question]
    if answer.report is None:
        return [*parts, f"No answer: {answer.problem}."]
    parts.append(f"    {answer.command}")
    for name in section.tables:
        table = answer.report.table(name)
        if table is not None:
            parts += [f"**{table.title}**", markdown_table(table), table.note]
    if answer.figure is not None:
        parts.append(f"![{section.title}]({answer.figure})")
    notes = "\n".join(f"- {note}" for note in answer.report.notes)
    return [*parts, notes]


def _interval(row: dict[str, Any]) -> str:
    """Interval, seeds and test images; a single seed has no interval."""
    images = f" and {row['images']:,} test images" if row["images"] else ""
    if row["seeds"] < 2:
        return f"one seed{images}"
    return f"95 %: {100 * row['low']:+.2f} to {100 * row['high']:+.2f}, {row['seeds']} seeds{images}"


def _verdicts(answers: list[Answer]) -> str:
    """What is significant; the tables of the sections have every difference that was tested."""
    tested = [(answer.section.title, row) for answer in answers for row in _tested(answer)]
    if not tested:
        return "No section tests a difference."
    tables = len({title for title, _ in tested})
    significant = [f"- *{title}* {_line(row)}" for title, row in tested if row["significant"]]
    head = (
        f"{len(tested)} differences are tested in {tables} tables. Holm's correction controls the family-wise error "
        f"rate at 5 % per table; {len(significant) or 'none'} {'is' if len(significant) == 1 else 'are'} significant."
    )
    return "\n".join([head, "", *significant])


def _tested(answer: Answer) -> list[dict[str, Any]]:
    """The rows of a section's table of differences, where it shows one."""
    table = answer.report.table("verdict") if answer.report and "verdict" in answer.section.tables else None
    return [] if table is None else raw_records(table.rows)


def _line(row: dict[str, Any]) -> str:
    return (
        f"`{row['group']}` against `{row['baseline']}`: {100 * row['difference']:+.2f} points ({_interval(row)}): "
        f"{row['verdict']}"
    )
