"""From lists of images to the splits of a data set."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hma_ft.data.datasets.base import FileDataset, Scan
from hma_ft.data.draw_rules import DrawRules
from hma_ft.data.folder_layout import SPLIT_NAMES
from hma_ft.data.folds import Fold
from hma_ft.data.groups import groups_by_pattern
from hma_ft.data.image_files import LeftOut, folders_in
from hma_ft.data.image_plugins import missing_for_suffixes
from hma_ft.data.lists.classes import Classes
from hma_ft.data.lists.find import ALL
from hma_ft.data.lists.read import read_list
from hma_ft.data.lists.rows import Columns, ReadList, Row
from hma_ft.names import counted, printable

_TOLD = 5  # problems of a file that get a line


class Named(NamedTuple):
    """Images of a split as its list names them."""

    rows: list[Row]
    paths: list[Path]


def scan_lists(
    lists: Mapping[str, Path],
    root: Path,
    *,
    columns: Columns,
    images: Path | None = None,
    class_names: Sequence[str] | None = None,
    group: str | None = None,
    fold: Fold | None = None,
) -> Scan:
    """Read the lists, by split or under `all`, with everything that is wrong with them.

    Paths are relative to `images`, None: to the folder of their list. `class_names` are those of all classes, None: the
    labels of train are the classes. `group` is a column, or a regular expression on paths.
    """
    read = {
        split: read_list(file, columns, one_split=split != ALL, trains=split in (ALL, "train"))
        for split, file in lists.items()
    }
    scan = Scan({}, layout="lists: " + ", ".join(printable(file.name) for file in lists.values()))
    scan.fixed_classes = class_names is not None
    for found in read.values():
        scan.notes += found.notes
        scan.problems += _shortened(found.problems)
    splits = {split: _located(found, images) for split, found in _by_split(read).items()}
    scan.problems += _missing(splits, root)
    if scan.problems:
        return scan
    if "train" not in splits:
        scan.problems.append(f"{next(iter(lists.values()))} has no images of train")
        return scan
    table = Classes(splits["train"].rows, class_names)
    for split, named in splits.items():
        numbers = table.numbers(named.rows, split)
        scan.parts[split] = FileDataset(named.paths, numbers, table.names, root, names=_names(named, root))
        scan.notes += _repeats(split, named)
    scan.problems += table.problems
    scan.problems += missing_for_suffixes({path.suffix.lower() for named in splits.values() for path in named.paths})
    if not scan.problems:
        scan.rules = DrawRules(_groups(group, splits), fold)
    return scan


def _by_split(read: Mapping[str, ReadList]) -> dict[str, list[tuple[Row, Path]]]:
    """Rows with the file that names them; of a list without a column of splits all are train."""
    found: dict[str, list[tuple[Row, Path]]] = {}
    for split, content in read.items():
        for row in content.rows:
            own = (row.split or "train") if split == ALL else split
            found.setdefault(own, []).append((row, content.file))
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def _located(rows: Sequence[tuple[Row, Path]], images: Path | None) -> Named:
    return Named([row for row, _ in rows], [(images or file.parent) / row.path for row, file in rows])


def _missing(splits: Mapping[str, Named], root: Path) -> list[str]:
    """A line for the first images that are not there, and a guess at the folder that has them."""
    lines, first = [], None
    for named in splits.values():
        for row, path in zip(named.rows, named.paths, strict=True):
            if not os.path.isfile(path):
                lines.append(f"{row.place}: {printable(path)} is no file")
                first = first or row
    if first is not None:
        homes = [folder for folder in folders_in(root, LeftOut()) if (folder / first.path).is_file()]
        hint = f"dataset.options.images={printable(homes[0].relative_to(root))}" if homes else ""
        return [*_shortened(lines), f"{hint} is where {printable(first.path)} lies"] if hint else _shortened(lines)
    return []


def _shortened(problems: Sequence[str]) -> list[str]:
    if len(problems) <= _TOLD:
        return list(problems)
    return [*problems[:_TOLD], f"{problems[_TOLD].partition(', ')[0]}: and {len(problems) - _TOLD} more such lines"]


def _names(named: Named, root: Path) -> list[str]:
    """Sample ids: paths below the root where they lie there, else as they are written."""
    names = []
    for row, path in zip(named.rows, named.paths, strict=True):
        below = os.path.normpath(path)
        names.append(printable(Path(below).relative_to(root) if Path(below).is_relative_to(root) else row.path))
    return names


def _repeats(split: str, named: Named) -> list[str]:
    """A line if images are named more than once: they stay, as what the list says."""
    labels: dict[Path, set[str]] = {}
    for row, path in zip(named.rows, named.paths, strict=True):
        labels.setdefault(path, set()).add(row.label)
    repeated = len(named.paths) - len(labels)
    if not repeated:
        return []
    doubtful = sum(len(own) > 1 for own in labels.values())
    conflict = f"; {counted(doubtful, 'image')} with several labels" if doubtful else ""
    kept = f"{repeated} of {len(named.paths)} rows of {split} name an image that an earlier row names"
    return [f"{kept}, and are kept{conflict}"]


def _groups(group: str | None, splits: Mapping[str, Named]) -> dict[str, list[str]]:
    """The group of each image, by split. Rows that name one image are a group where no other groups are asked for."""
    if group is None:
        named = splits["train"]
        once = len(set(named.paths)) == len(named.paths)
        return {} if once else {"train": [str(path) for path in named.paths]}
    found = {}
    for split, named in splits.items():
        columns = [row.group for row in named.rows]
        by_column = [text for text in columns if text is not None]
        paths = [row.path for row in named.rows]
        found[split] = by_column if len(by_column) == len(columns) else groups_by_pattern(group, paths)
    return found
