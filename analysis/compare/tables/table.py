"""A table: raw rows, and columns that say how they read. Every output is made from these."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pandas as pd


@dataclass(frozen=True)
class Column:
    """A column of text, made from one or several raw columns."""

    title: str
    keys: str | tuple[str, ...]
    text: Callable[..., str] = str
    right: bool = True

    def cells(self, rows: pd.DataFrame) -> list[str]:
        """Its text, row by row."""
        keys = [self.keys] if isinstance(self.keys, str) else list(self.keys)
        return [self.text(*values) for values in rows[keys].itertuples(index=False, name=None)]


def words(title: str, keys: str | tuple[str, ...], text: Callable[..., str] = str) -> Column:
    """A column that is set to the left."""
    return Column(title, keys, text, right=False)


PLACE = (words("data set", "dataset"), words("group", "group"))


@dataclass(frozen=True)
class Table:
    """Raw `rows` go to CSV and JSON as they are, `columns` to everything that is read."""

    name: str
    title: str
    columns: list[Column]
    rows: pd.DataFrame  # of Python's own values
    note: str = ""  # what the reader must know to read it
    cells: list[list[str]] = field(init=False)  # by row

    def __post_init__(self) -> None:
        columns = self.columns if len(self.rows) else []
        texts = [(column, column.cells(self.rows)) for column in columns]
        # a column without any content is left out, as the interval of a single seed
        kept = [(column, cells) for column, cells in texts if any(cells)]
        object.__setattr__(self, "columns", [column for column, _ in kept])
        object.__setattr__(self, "cells", [list(line) for line in zip(*(cells for _, cells in kept), strict=True)])

    @property
    def records(self) -> list[dict[str, Any]]:
        """The raw rows as JSON has them: what is not finite is null."""
        return [json_value(row) for row in raw_records(self.rows)]


def frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Raw rows, values of any kind as they are."""
    return pd.DataFrame(list(rows), dtype=object)


def raw_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as they were."""
    return cast(list[dict[str, Any]], rows.to_dict("records"))


def json_value(value: Any) -> Any:
    """A value as JSON has it: what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(key): json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
