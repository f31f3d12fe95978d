"""Your own images in folders: root/CLASS/..., or root/train/CLASS/... with test/ and val/ beside it."""

from dataclasses import dataclass
from pathlib import Path

from hma_ft.data.datasets.base import DatasetBuilder, FileDataset, ImageDataset, Scan
from hma_ft.data.draw_rules import DrawRules
from hma_ft.data.folder_layout import class_folders, recognise, unknown_classes
from hma_ft.data.folds import Fold
from hma_ft.data.groups import groups_by_pattern
from hma_ft.data.image_files import SUFFIXES, LeftOut, images_below
from hma_ft.data.image_plugins import missing_for_suffixes
from hma_ft.data.options import typed_options
from hma_ft.names import printable

_NAMED = 6  # classes that a message lists


@dataclass
class FolderOptions:
    """`dataset.options` of dataset=folder."""

    group: str | None = None  # regular expression on paths below the root; its first parenthesis is the group
    fold: str | None = None  # i/k: fold i of k is the test split


class Folder(DatasetBuilder):
    """The classes are the folders of train, or of the root where it holds no split; images may lie deeper."""

    def splits(self) -> dict[str, ImageDataset]:
        """`train`, and `val` and `test` if there are such folders."""
        return self.scan().require()

    def scan(self) -> Scan:
        """What the folder holds, with everything that is wrong with it."""
        options = typed_options(FolderOptions, self.options)
        left_out = LeftOut()
        layout = recognise(self.root, left_out)
        scan = Scan({}, notes=layout.notes, problems=layout.problems, layout=layout.kind, left_out=left_out)
        if "train" not in layout.folders:
            return scan
        known: dict[str, Path] = {}
        for split in (split for split in ("train", "test", "val") if split in layout.folders):
            folder = layout.folders[split]
            found, problems = class_folders(folder, left_out)
            known = known or found
            scan.problems += problems + unknown_classes(split, folder, found, known)
            images = {name: images_below(found[name], left_out) for name in known if name in found}
            scan.problems += _problems(split, folder, images)
            if split == "train":
                scan.notes += _deeper(found, images)
            if any(images.values()):
                scan.parts[split] = self._samples(images, list(known))
        scan.rules = DrawRules(_groups(options.group, scan.parts), Fold.parse(options.fold))
        scan.problems += left_out.unreadable
        scan.problems += missing_for_suffixes(_suffixes(scan.parts))
        return scan

    def download(self) -> None:
        """There is nothing to fetch: say what is missing."""
        self.splits()

    def _samples(self, images: dict[str, list[Path]], class_names: list[str]) -> FileDataset:
        label_of = {name: label for label, name in enumerate(class_names)}
        files = [(path, label_of[name]) for name, paths in images.items() for path in paths]
        paths, labels = zip(*files, strict=True)
        return FileDataset(paths, labels, class_names, self.root)


def _groups(pattern: str | None, parts: dict[str, ImageDataset]) -> dict[str, list[str]]:
    """The group of each image, by split."""
    if pattern is None:
        return {}
    return {
        split: groups_by_pattern(pattern, [samples.sample_id(index) for index in range(len(samples))])
        for split, samples in parts.items()
    }


def _problems(split: str, folder: Path, images: dict[str, list[Path]]) -> list[str]:
    """What is wrong with the classes of a split; only train must have images of each."""
    if images and not any(images.values()):
        return [f"{printable(folder)} holds no images ({', '.join(sorted(SUFFIXES))})"]
    empty = [name for name, paths in images.items() if not paths]
    if split != "train" or not empty:
        return []
    more = f" and {len(empty) - _NAMED} more" if len(empty) > _NAMED else ""
    which = f"class {empty[0]} has" if len(empty) == 1 else f"classes {', '.join(empty[:_NAMED])}{more} have"
    return [f"{printable(folder)}: {which} no training images: add some, or move the folder away"]


def _deeper(found: dict[str, Path], images: dict[str, list[Path]]) -> list[str]:
    """A line if the folders that were taken for classes hold nothing but folders."""
    inner = sorted({printable(p.relative_to(found[n]).parts[0]) for n, paths in images.items() for p in paths})
    if len(inner) < 2 or any(path.parent == found[name] for name, paths in images.items() for path in paths):
        return []
    return [
        f"every class ({', '.join(list(found)[:_NAMED])}) holds its images in folders of its own "
        f"({', '.join(inner[:_NAMED])}): if those are the classes, dataset.root is one level too high"
    ]


def _suffixes(parts: dict[str, ImageDataset]) -> set[str]:
    return {path.suffix.lower() for part in parts.values() if isinstance(part, FileDataset) for path in part.paths}
