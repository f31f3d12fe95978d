"""Tables for the terminal."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from analysis.compare.report import Report
from analysis.compare.tables.table import Table

_MOST_COLUMNS = 16  # more are cut into single letters
_FILE_WIDTH = 200  # characters, where the output is no terminal


def print_report(report: Report) -> None:
    """What one reads at once; the runs are in the files only."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_FILE_WIDTH)
    for table in report.tables:
        if len(table.columns) > _MOST_COLUMNS:
            console.print(f"{table.title}: {len(table.columns)} columns, in the files of --out\n", markup=False)
        elif table.name != "runs":
            console.print(_rich(table))
    for note in report.notes:
        console.print(f"- {note}", markup=False, highlight=False, soft_wrap=True)


def _rich(table: Table) -> RichTable:
    made = RichTable(
        title=escape(table.title), caption=escape(table.note), box=box.SIMPLE, pad_edge=False, title_justify="left"
    )
    made.caption_justify = "left"
    for column in table.columns:
        made.add_column(escape(column.title), justify="right" if column.right else "left", overflow="fold")
    for line in table.cells:
        made.add_row(*map(escape, line))
    return made
