"""Tables of images: CSV and TSV with or without a header, JSON lines, JSON lists of objects."""

import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from hma_ft.data.folder_layout import split_of
from hma_ft.data.image_files import SUFFIXES
from hma_ft.data.lists.rows import Columns, ReadList, Row, label_text
from hma_ft.names import counted

# In lower case; the first that a table has is taken.
PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "img_path"),
    *("image_file", "imagefile", "name"),
)
LABEL_COLUMNS = ("label", "class", "class_name", "target", "category", "labels")
SPLIT_COLUMN = "split"


class _Named(NamedTuple):
    """The columns that are read."""

    path: str
    label: str
    split: str | None
    group: str | None


def read_csv(found: ReadList, lines: list[str], columns: Columns, *, delimiter: str, one_split: bool) -> None:
    """Add a row for every line below the header; without a header a line is a path and a label."""
    if delimiter == "," and lines and "," not in lines[0] and ";" in lines[0]:
        delimiter = ";"  # as spreadsheets write it where the comma stands in numbers
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next((row for row in reader if row), [])
        if len(header) == 2 and header[0].lower().endswith(tuple(SUFFIXES)):
            header, reader = ["path", "label"], csv.reader(lines, delimiter=delimiter, strict=True)
        header = [name.strip() for name in header]
        named = _named(found, header, columns, one_split=one_split)
        if named is None:
            return
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                number = counted(len(fields), "field")
                found.problems.append(f"{found.place(reader.line_num)}: {number}, where the header has {len(header)}")
                continue
            _add(found, reader.line_num, dict(zip(header, fields, strict=True)), named)
    except csv.Error as error:
        found.problems.append(f"{found.place(reader.line_num)}: no CSV ({error})")


def read_json_lines(found: ReadList, lines: list[str], columns: Columns, *, one_split: bool) -> None:
    """Add a row for every line, which is a JSON object."""
    objects = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            objects.append((number, json.loads(line)))
        except ValueError as error:
            found.problems.append(f"{found.place(number)}: no JSON ({str(error).partition(':')[0]})")
    read_objects(found, objects, columns, one_split=one_split)


def read_objects(
    found: ReadList, objects: Sequence[tuple[int | str, Any]], columns: Columns, *, one_split: bool
) -> None:
    """Add a row for each object with its place in the file."""
    whole = list(_objects_only(found, objects))
    named = _named(found, list(whole[0][1]), columns, one_split=one_split) if whole else None
    if named is not None:
        for place, values in whole:
            _add(found, place, values, named)


def _objects_only(
    found: ReadList, objects: Sequence[tuple[int | str, Any]]
) -> Iterator[tuple[int | str, dict[str, Any]]]:
    for place, values in objects:
        if isinstance(values, dict):
            yield place, values
        else:
            found.problems.append(f"{found.place(place)}: must be an object with a path and a label")


def _add(found: ReadList, place: int | str, values: dict[str, Any], named: _Named) -> None:
    """Add the row, or say what it lacks."""
    path, label = values.get(named.path), label_text(values.get(named.label))
    split = group = None
    if not isinstance(path, str) or not path.strip():
        found.problems.append(f"{found.place(place)}: no path in column {named.path}")
    elif label is None:
        found.problems.append(f"{found.place(place)}: no single label in column {named.label}")
    elif named.split and (split := split_of(str(values.get(named.split)).strip())) is None:
        found.problems.append(
            f"{found.place(place)}: {named.split} is {values.get(named.split)!r}, and must be train, val or test"
        )
    elif named.group and (group := label_text(values.get(named.group))) is None:
        found.problems.append(f"{found.place(place)}: no group in column {named.group}")
    else:
        found.rows.append(Row(found.place(place), path.strip(), label, None, split, group))


def _named(found: ReadList, header: Sequence[str], columns: Columns, *, one_split: bool) -> _Named | None:
    """Which columns are read; None, with a problem, if that can't be told. `one_split`: no column of splits."""
    split = None if one_split else _column(header, columns.split, (SPLIT_COLUMN,))
    if columns.split is not None and split is None and not one_split:
        _refuse(found, header, f"has no column dataset.options.split={columns.split}")
        return None
    group = columns.group if columns.group in header else None
    path = _column(header, columns.path, PATH_COLUMNS)
    if path is None:
        reason = "no column of paths" if columns.path is None else f"no column dataset.options.path={columns.path}"
        _refuse(found, header, f"has {reason}: give dataset.options.path=COLUMN")
        return None
    left = [name for name in header if name not in (path, split, group) and name.lower() != SPLIT_COLUMN]
    label = _column(left, columns.label, LABEL_COLUMNS)
    if label is None and len(left) == 1 and (columns.label is None or not found.trains):
        label = left[0]
        if columns.label is not None:
            found.notes.append(f"{found.file.name} has no column {columns.label}: its labels are those of {label}")
    if label is None:
        reason = "no column of labels" if columns.label is None else f"no column dataset.options.label={columns.label}"
        _refuse(found, header, f"has {reason}: give dataset.options.label=COLUMN")
        return None
    return _Named(path, label, split, group)


def _column(header: Sequence[str], wanted: str | None, usual: Sequence[str]) -> str | None:
    """The column of that name; if none is wanted, the first of the usual ones, in any case."""
    if wanted is not None:
        return wanted if wanted in header else None
    return next((name for known in usual for name in header if name.lower() == known), None)


def _refuse(found: ReadList, header: Sequence[str], reason: str) -> None:
    found.problems.append(f"{found.place(1)}: {reason}; the columns are {', '.join(header) or 'none'}")
