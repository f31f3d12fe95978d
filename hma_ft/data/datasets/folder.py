"""Your own images in folders: root/CLASS/..., or root/train/CLASS/... with test/ and val/ beside it."""

from pathlib import Path

from hma_ft.data.datasets.base import DatasetBuilder, FileDataset, ImageDataset, Scan
from hma_ft.data.folder_layout import class_folders, recognise, unknown_classes
from hma_ft.data.image_files import SUFFIXES, LeftOut, images_below
from hma_ft.data.image_plugins import missing_for_suffixes
from hma_ft.names import printable

_NAMED = 6  # classes that a message lists


class Folder(DatasetBuilder):
    """The classes are the folders of train, or of the root where it holds no split; images may lie deeper."""

    def splits(self) -> dict[str, ImageDataset]:
        """`train`, and `val` and `test` if there are such folders."""
        return self.scan().require()

    def scan(self) -> Scan:
        """What the folder holds, with everything that is wrong with it."""
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
