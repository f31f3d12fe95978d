"""How a folder of images is laid out: which of its folders are splits, which are classes."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from hma_ft.data.image_files import LeftOut, class_name, files_in, folders_in, images_below
from hma_ft.names import counted, printable

# Names of a split, in any case; the first is the one that messages use.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_NAMED = 6  # folders that a message lists


def split_of(name: str) -> str | None:
    """The split that a folder, a file or a value of this name means; None for no split."""
    return next((split for split, names in SPLIT_NAMES.items() if name.casefold() in names), None)


@dataclass
class Layout:
    """Where the class folders of each split lie."""

    folders: dict[str, Path] = field(default_factory=dict)  # split -> folder; `train` alone: the others are drawn
    kind: str = ""  # in words
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # each a line; with one of them nothing can be trained


def recognise(root: Path, left_out: LeftOut) -> Layout:
    """Tell root/CLASS/ from root/train/CLASS/ with its siblings; what is neither is a problem with its remedy."""
    probe = LeftOut()
    children = folders_in(root, probe)
    if probe.unreadable:
        return Layout(problems=probe.unreadable)
    named = {
        split: [child for child in children if child.name.casefold() in names] for split, names in SPLIT_NAMES.items()
    }
    splits = {split: found for split, found in named.items() if found}
    others = [child for child in children if not any(child in found for found in named.values())]
    if not children:
        return Layout(problems=[_no_folders(root)])
    if not splits:
        return _classes_alone(root, children)
    if _are_classes(splits, others):
        layout = _classes_alone(root, children)
        doubtful = _listed([folder for found in splits.values() for folder in found])
        layout.notes.append(f"taken for a class, since images lie directly in it: {doubtful} in {printable(root)}")
        return layout
    folders_in(root, left_out)  # counts what is hidden beside the splits; class folders are counted when they are read
    return _with_splits(root, splits, others)


def _are_classes(splits: dict[str, list[Path]], others: list[Path]) -> bool:
    """Whether folders named like splits are classes (a train among vehicles): flat, beside other folders of images."""
    if len(splits) > 1 and "train" in splits:
        return False
    flat = all(not folders_in(folder, LeftOut()) for found in splits.values() for folder in found)
    return flat and any(images_below(other, LeftOut()) for other in others)


def _classes_alone(root: Path, children: list[Path]) -> Layout:
    if len(children) == 1:
        inner = _holder(children[0])
        if inner is not None:
            return Layout(problems=[f"{_wrapped(root, children[0], inner)}: give dataset.root={printable(inner)}"])
    return Layout({"train": root}, "one folder a class; val and test are drawn", _beside_classes(root))


def _with_splits(root: Path, splits: dict[str, list[Path]], others: list[Path]) -> Layout:
    layout = Layout()
    for split, found in splits.items():
        if len(found) > 1:
            layout.problems.append(
                f"{printable(root)} holds {_listed(found)}, which all mean {split}: keep one, and move the others away"
            )
        layout.folders[split] = found[0]
    counts = {other: len(images_below(other, LeftOut())) for other in others}
    unread = [f"{printable(other.name)} ({counted(count, 'image')})" for other, count in counts.items() if count]
    if "train" not in splits:
        present, train = _listed(list(layout.folders.values())), printable(root / "train")
        remedy = f"move {_listed(others)} into {train}" if unread else f"add {train}/CLASS/ with images"
        layout.problems.append(f"{printable(root)} holds {present} but no train: {remedy}")
        return layout
    if unread:
        layout.notes.append(f"left unread beside {printable(layout.folders['train'])}: {', '.join(unread)}")
    for folder in layout.folders.values():
        problem = _wrong_depth(folder, layout.folders)
        layout.problems += [problem] if problem else []
        layout.notes += _beside_classes(folder)
    layout.kind = "split folders: " + ", ".join(
        f"{split} ({printable(folder.name)})" if folder.name != split else split
        for split, folder in layout.folders.items()
    )
    drawn = [split for split in SPLIT_NAMES if split not in splits]
    layout.kind += f"; {' and '.join(drawn)} drawn from train" if drawn else ""
    return layout


def _wrong_depth(folder: Path, splits: dict[str, Path]) -> str | None:
    """Why a split's folder can't be read: no class folders, or all of them in one folder more."""
    classes = folders_in(folder, LeftOut())
    if not classes:
        return _no_folders(folder)
    inner = _holder(classes[0]) if len(classes) == 1 else None
    if inner is None:
        return None
    where = f"give dataset.root={printable(inner)}" if len(splits) == 1 else f"move these into {printable(folder)}"
    return f"{_wrapped(folder, classes[0], inner)}: {where}"


def _no_folders(folder: Path) -> str:
    images = counted(len(files_in(folder)), "image")
    if files_in(folder):
        return f"{printable(folder)} holds {images} but no class folders: put them into CLASS/, or move it away"
    return f"{printable(folder)} holds no folders: each class needs one with its images"


def _holder(folder: Path) -> Path | None:
    """The folder that holds several, or a split, at the end of a chain of folders with nothing but the next one.

    None if the chain ends in images: it is a class.
    """
    seen: set[Path] = set()
    while folder.resolve() not in seen and not files_in(folder):
        seen.add(folder.resolve())
        children = folders_in(folder, LeftOut())
        if len(children) > 1 or any(child.name.casefold() in SPLIT_NAMES["train"] for child in children):
            return folder
        if not children:
            return None
        folder = children[0]
    return None


def _wrapped(folder: Path, only: Path, inner: Path) -> str:
    holds = f"{printable(folder)} holds only the folder {printable(only.name)}"
    below = ", which" if inner == only else f", in which {printable(inner.relative_to(only))}"
    return f"{holds}{below} holds {_listed(folders_in(inner, LeftOut()))}"


def _beside_classes(folder: Path) -> list[str]:
    images = len(files_in(folder))
    return [f"left out: {counted(images, 'image')} beside the class folders of {printable(folder)}"] if images else []


def _listed(folders: list[Path]) -> str:
    names = [printable(folder.name) for folder in folders]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def class_folders(folder: Path, left_out: LeftOut) -> tuple[dict[str, Path], list[str]]:
    """Class folders by class name, and a line for each two that have the same name once it is composed."""
    found: dict[str, Path] = {}
    problems = []
    for child in folders_in(folder, left_out):
        name = class_name(child)
        if name in found:
            problems.append(
                f"{printable(folder)} holds two folders for the class {name}, which differ in how its accents are "
                f"written ({found[name].name!a}, {child.name!a}): put their images into one"
            )
        found.setdefault(name, child)
    return dict(sorted(found.items())), problems


def unknown_classes(split: str, folder: Path, found: dict[str, Path], known: dict[str, Path]) -> list[str]:
    """A line if a split has classes that train lacks, each with the name that may have been meant."""
    unknown = [name for name in found if name not in known]
    if not unknown:
        return []
    names = ", ".join(with_near(name, known) for name in unknown)
    return [f"{printable(folder)}: {split} has classes that train lacks: {names}"]


def with_near(name: str, known: Collection[str]) -> str:
    """A name that train lacks, with the one that may have been meant."""
    same = [other for other in known if other.casefold() == name.casefold()]
    near = same or difflib.get_close_matches(name, known, n=1)
    return f"{name} (train has {near[0]}: rename one)" if near else name
