"""What any list of images comes to: rows, and lines on those that can't be read."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hma_ft.names import printable


class Row(NamedTuple):
    """An image of a list."""

    place: str  # where it stands, in words: `train.csv, line 7`
    path: str  # as it is written there
    label: str
    class_name: str | None = None  # where the list gives it beside the label
    split: str | None = None  # train, val or test, where the list says it
    group: str | None = None


@dataclass
class ReadList:
    """A list that was read."""

    file: Path
    trains: bool = True  # it has training images, whose labels come from the column asked for and no other
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # a line each, with file and line number
    notes: list[str] = field(default_factory=list)

    def place(self, where: int | str) -> str:
        """A line of the file, or what else names a place in it, in words."""
        return f"{printable(self.file)}, line {where}" if isinstance(where, int) else f"{printable(self.file)}, {where}"


@dataclass(frozen=True)
class Columns:
    """Names of a table's columns; None: by their usual names."""

    path: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None  # no column unless the table has it: it may be a regular expression


def label_text(value: object) -> str | None:
    """A label as text, None for what is no single class: nothing, a list, a fraction, true or false."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None
