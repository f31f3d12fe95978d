"""A table: raw rows, and columns that say how they read. Every output is made from these."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of text made from a row."""

    title: str
    text: Callable[[Row], str]
    right: bool = True


@dataclass(frozen=True)
class Table:
    """`rows` go to CSV and JSON as they are, `columns` to everything that is read."""

    name: str
    title: str
    columns: list[Column]
    rows: list[Row]
    note: str = ""  # what the reader must know to read it
    cells: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        texts = [[column.text(row) for column in self.columns] for row in self.rows]
        # a column without any content is left out, as the interval of a single seed
        kept = [i for i in range(len(self.columns)) if any(line[i] for line in texts)]
        object.__setattr__(self, "columns", [self.columns[i] for i in kept])
        object.__setattr__(self, "cells", [[line[i] for i in kept] for line in texts])


def json_value(value: Any) -> Any:
    """A value as JSON has it: what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
