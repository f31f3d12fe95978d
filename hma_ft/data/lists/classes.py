"""Which classes lists of images have, in which order, and what they are called."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hma_ft.data.folder_layout import with_near
from hma_ft.data.lists.rows import Row

_NAMED = 6  # classes that a message lists


class Classes:
    """The classes of train: numbers in their order, words in alphabetical order, or as a file of names has them.

    Attributes:
        names: of the classes, each once.
        problems: a line each.
    """

    def __init__(self, train: Sequence[Row], file: Path | None = None) -> None:
        """`file` has the name of a class on each line; number i is then that of line i, counted from 0."""
        self.problems: list[str] = []
        labels = {_composed(row.label) for row in train}
        numeric = all(_is_number(label) for label in labels)
        if file is not None:
            called = self._names_of(file)
            keys = [str(number) for number in range(len(called))] if numeric else called
        else:
            keys = sorted(labels, key=int) if numeric else sorted(labels)
            given = self._given_names(train)
            called = [given.get(key, key) for key in keys]
        repeated = {name for name, count in Counter(called).items() if count > 1}  # two kinds of crane
        self.names = [f"{name} ({key})" if name in repeated else name for key, name in zip(keys, called, strict=True)]
        self._numbers = {key: number for number, key in enumerate(keys)}

    def numbers(self, rows: Sequence[Row], split: str) -> list[int]:
        """The number of each row's class; -1, with a problem, for classes that are not among them."""
        found = [self._numbers.get(_composed(row.label), -1) for row in rows]
        unknown: dict[str, Row] = {}
        for row, number in zip(rows, found, strict=True):
            if number < 0:
                unknown.setdefault(_composed(row.label), row)
        if unknown:
            named = ", ".join(with_near(label, self._numbers) for label in list(unknown)[:_NAMED])
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            other = "train lacks" if split != "train" else "the file of class names lacks"
            first = next(iter(unknown.values())).place
            self.problems.append(f"{first}: {split} has classes that {other}: {named}{more}")
        return found

    def _names_of(self, file: Path) -> list[str]:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"dataset.options.classes={file} can't be read ({error})")
            return []
        return [_composed(line.strip()) for line in lines if line.strip()]

    def _given_names(self, rows: Sequence[Row]) -> Mapping[str, str]:
        """Class names that stand beside the labels."""
        given: dict[str, str] = {}
        for row in rows:
            if row.class_name is None:
                continue
            key, name = _composed(row.label), _composed(row.class_name)
            if given.setdefault(key, name) != name:
                self.problems.append(f"{row.place}: label {key} is called {name} here and {given[key]} before")
                break
        return given


def _is_number(label: str) -> bool:
    return label.isascii() and label.removeprefix("-").isdecimal()


def _composed(label: str) -> str:
    return unicodedata.normalize("NFC", label)
