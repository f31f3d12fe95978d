"""Which classes lists of images have, in which order, and what they are called."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from hma_ft.data.folder_layout import with_near
from hma_ft.data.lists.rows import Row
from hma_ft.errors import UserError

_NAMED = 6  # classes that a message lists


class Classes:
    """The classes of train: numbers in their order, words in alphabetical order; or those that are given.

    Attributes:
        names: of the classes, each once.
        problems: a line each.
    """

    def __init__(self, train: Sequence[Row], names: Sequence[str] | None = None) -> None:
        """`names` are those of all classes, even if train has no images of some; number i is then the i-th, from 0."""
        self.problems: list[str] = []
        self._lacked_by = "train lacks" if names is None else "the data set lacks"
        labels = {_composed(row.label) for row in train}
        numeric = all(_is_number(label) for label in labels)
        if names is not None:
            called = [*names]
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
            first = next(iter(unknown.values())).place
            self.problems.append(f"{first}: {split} has classes that {self._lacked_by}: {named}{more}")
        return found

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


def read_class_names(file: Path) -> list[str]:
    """The name on each line of a text file. Raises UserError."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"dataset.options.classes={file} can't be read ({error})") from error
    return [_composed(line.strip()) for line in lines if line.strip()]


def _is_number(label: str) -> bool:
    return label.isascii() and label.removeprefix("-").isdecimal()


def _composed(label: str) -> str:
    return unicodedata.normalize("NFC", label)
