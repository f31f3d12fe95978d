"""What a type can't say of the data set's settings, those options included that several data sets have."""

import re
from collections.abc import Iterator
from pathlib import Path

from hma_ft.config.schema import DatasetConfig

FOLD = "dataset.options.fold"
_FOLD = re.compile(r"([1-9]\d*)/([1-9]\d*)", re.ASCII)


def fold_numbers(text: str) -> tuple[int, int] | None:
    """(number from 1, number of folds) of `2/5`; None if the text is no fold."""
    found = _FOLD.fullmatch(text)
    if found is None:
        return None
    number, count = int(found[1]), int(found[2])
    return (number, count) if count >= 2 and number <= count else None


def option_problems(dataset: DatasetConfig) -> Iterator[str]:
    """One line for each option that can't work, whatever the data are."""
    fold, group = dataset.options.get("fold"), dataset.options.get("group")
    if fold is not None and fold_numbers(str(fold)) is None:
        yield f"{FOLD}={fold} must be i/k, fold i of k: 1/5 to 5/5 for five folds; or null"
    if isinstance(group, str):
        try:
            re.compile(group)
        except re.error as error:
            yield f"dataset.options.group={group} is no regular expression ({error})"


def root_problems(dataset: DatasetConfig) -> Iterator[str]:
    """A line if the root must be there and is not."""
    if dataset.on_disk and not dataset.download and not Path(dataset.root).is_dir():
        yield f"dataset.root={dataset.root} is not a directory: give the one that holds the images"
