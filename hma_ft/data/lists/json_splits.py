"""JSON files of splits: VPT's `{path: label}`, CoOp's `{split: [[path, label, class name], ...]}`, lists of objects."""

import json
from typing import Any

from hma_ft.data.folder_layout import split_of
from hma_ft.data.lists.rows import Columns, ReadList, Row, label_text
from hma_ft.data.lists.tables import read_objects


def read_json(found: ReadList, text: str, columns: Columns, *, one_split: bool) -> None:
    """Add a row for every image of whichever of the three kinds the file is."""
    try:
        content = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        found.problems.append(f"{found.place(error.lineno)}: no JSON ({error.msg})")
        return
    if isinstance(content, list):
        objects = [(_nth(number), _as_dict(entry)) for number, entry in enumerate(content, start=1)]
        read_objects(found, objects, columns, one_split=one_split)
    elif isinstance(content, _Pairs) and content.pairs and all(isinstance(value, list) for _, value in content.pairs):
        for name, entries in content.pairs:
            _read_split(found, name, entries)
    elif isinstance(content, _Pairs):
        for path, value in content.pairs:
            _read_entry(found, f"entry {path}", [path, value], None)
    else:
        found.problems.append(f"{found.file}: neither an object nor a list of images")


class _Pairs:
    """An object of JSON with its repeated keys."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def _as_dict(entry: object) -> object:
    return dict(entry.pairs) if isinstance(entry, _Pairs) else entry


def _read_split(found: ReadList, name: str, entries: list[Any]) -> None:
    split = split_of(name)
    if split is None:
        found.problems.append(f"{found.file}: {name} is no split: train, val and test are")
        return
    for number, entry in enumerate(entries, start=1):
        _read_entry(found, f"{name}, {_nth(number)}", entry, split)


def _read_entry(found: ReadList, where: str, entry: object, split: str | None) -> None:
    fields = entry if isinstance(entry, list) else []
    label = label_text(fields[1]) if len(fields) in (2, 3) else None
    if label is None or not isinstance(fields[0], str) or not fields[0].strip():
        found.problems.append(f"{found.place(where)}: must be a path and a label, perhaps with a class name")
        return
    class_name = label_text(fields[2]) if len(fields) == 3 else None
    found.rows.append(Row(found.place(where), fields[0], label, class_name, split))


def _nth(number: int) -> str:
    return f"entry {number}"
