"""What the memories of a finished run hold: rows, classes, ages, norms, and the images they come from.

python -m analysis.memory run=DIR [key=value ...]

run=DIR            directory of a finished run of an HMA method or of knn
show=5             rows to print of each memory, the newest first
out=FILE           CSV of all rows: memory, row, id, file, class, mixed_with, step, norm
dataset_root=DIR   where the data set lies now, if it has moved
weights=FILE       the pretrained weights, if they have moved
device=auto        auto, cpu or cuda
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.arguments import parse, positive, require_file, run_tool

if TYPE_CHECKING:
    from analysis.memory.contents import Contents, Row

DEFAULTS = {"run": None, "show": "5", "out": None, "dataset_root": None, "weights": None, "device": "auto"}


def main(arguments: Sequence[str]) -> None:
    """Check the arguments, then list the memories."""
    values = parse(arguments, DEFAULTS)
    show = positive(values, "show")
    if values["out"] is not None:
        require_file("out", Path(values["out"]))
    from analysis.memory.contents import contents  # torch comes with it
    from analysis.trained import open_run

    trained = open_run(
        values["run"], dataset_root=values["dataset_root"], weights=values["weights"], device=values["device"] or "auto"
    )
    found = contents(trained)
    _print(found, trained.class_names, show)
    if values["out"] is not None:
        _write(Path(values["out"]), found, trained.class_names)
        print(values["out"])


def _print(found: Sequence["Contents"], class_names: Sequence[str], show: int) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Column, Table

    console = Console()
    summary = Table("memory", "rows", "in use", "masked", "images", "steps", "norm")
    for memory in found:
        least, mean, most, deviation = memory.norms
        summary.add_row(
            memory.name,
            *map(str, (memory.size, len(memory.rows), memory.masked, memory.images)),
            "" if memory.steps is None else "{} to {}".format(*memory.steps),
            f"{mean:.2f} ± {deviation:.2f} ({least:.2f} to {most:.2f})",
        )
    classes = Table("class", *(memory.name for memory in found), title="rows of each class")
    for label, name in enumerate(class_names):
        classes.add_row(escape(name), *(f"{float(memory.per_class[label]):g}" for memory in found))
    console.print(summary, classes)
    for memory in found:
        if any(row.file for row in memory.rows):
            file = Column("file", overflow="fold")
            table = Table("row", "id", file, "class", "step", "norm", title=f"{memory.name}: {show} rows at most")
            for row in memory.rows[:show]:
                table.add_row(*(escape(cell) for cell in _cells(row, class_names)))
            console.print(table)


def _cells(row: "Row", class_names: Sequence[str]) -> list[str]:
    file = f"{row.file} + {row.mixed_with}" if row.mixed_with else row.file
    step = "" if row.step is None else str(row.step)
    return [str(row.row), "" if row.id is None else str(row.id), file, class_names[row.label], step, f"{row.norm:.3f}"]


def _write(path: Path, found: Sequence["Contents"], class_names: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["memory", "row", "id", "file", "class", "mixed_with", "step", "norm"])
        for memory in found:
            for row in memory.rows:
                values = [
                    row.row,
                    row.id,
                    row.file,
                    class_names[row.label],
                    row.mixed_with,
                    row.step,
                    f"{row.norm:.6f}",
                ]
                writer.writerow([memory.name, *values])


if __name__ == "__main__":
    sys.exit(run_tool(main, __doc__))
