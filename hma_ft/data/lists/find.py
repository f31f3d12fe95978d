"""Which files below a root are its lists of images."""

from collections.abc import Mapping
from pathlib import Path

from hma_ft.data.folder_layout import SPLIT_NAMES, split_of
from hma_ft.data.lists.read import SUFFIXES
from hma_ft.errors import UserError
from hma_ft.names import printable

ALL = "all"  # key of a list that holds every split
_NO_LISTS = ("readme", "license", "licence", "classes", "class_names", "labels", "requirements")  # if they are .txt
_NAMED = 6  # files that a message lists


def find_lists(root: Path, named: Mapping[str, str | None]) -> dict[str, Path]:
    """The list of each split, or under `all` the only one.

    `named` has what the options `file`, `train`, `val` and `test` say; if they say nothing, a list is what is called
    like a split, else the only file that can be one. Raises UserError.
    """
    given = {option: root / text for option, text in named.items() if text is not None}
    if "file" in given and len(given) > 1:
        raise UserError("dataset.options.file names one list of all splits: give it, or train, val and test")
    if given and "file" not in given and "train" not in given:
        raise UserError(f"dataset.options.{next(iter(given))} is given without dataset.options.train")
    for option, path in given.items():
        if not path.is_file():
            raise UserError(f"dataset.options.{option}={named[option]} is no file below dataset.root={printable(root)}")
    if given:
        return {ALL if option == "file" else option: path for option, path in given.items()}
    return _looked_for(root)


def _looked_for(root: Path) -> dict[str, Path]:
    try:
        files = sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise UserError(f"cannot read folder {printable(root)} ({error.strerror})") from error
    lists: dict[str, Path] = {}
    for split in SPLIT_NAMES:
        found = [path for path in files if split_of(path.stem) == split]
        if len(found) > 1:
            raise UserError(
                f"{_listed(found, root)} are all lists of {split}: say which by dataset.options.{split}=FILE"
            )
        if found:
            lists[split] = found[0]
    if "train" in lists:
        return lists
    if lists:
        raise UserError(
            f"{printable(root)} has lists of {' and '.join(lists)} but none of train: say which by "
            "dataset.options.train=FILE"
        )
    others = [path for path in files if not (path.suffix.lower() == ".txt" and path.stem.lower() in _NO_LISTS)]
    if len(others) != 1:
        which = f"several that may be lists ({_listed(others, root)})" if others else f"no list ({', '.join(SUFFIXES)})"
        raise UserError(
            f"{printable(root)} holds {which}: say which by dataset.options.file=FILE, or train=, val= and test="
        )
    return {ALL: others[0]}


def _listed(paths: list[Path], root: Path) -> str:
    names = [printable(path.relative_to(root)) for path in paths]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
