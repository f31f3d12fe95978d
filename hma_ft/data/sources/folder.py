"""Any pictures in folders: root/train/CLASS/..., root/test/CLASS/..., and root/val/CLASS/... if there is one."""

from torchvision.datasets.folder import find_classes

from hma_ft.data.sources.base import FileSamples, Samples, Source
from hma_ft.errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"}


class Folder(Source):
    """The classes are the folders of train; pictures may lie deeper."""

    def splits(self) -> dict[str, Samples]:
        """train, test, and val if there is that folder."""
        names = ["train", "test", *(["val"] if (self.root / "val").is_dir() else [])]
        class_names = self._classes("train")
        return {name: self._samples(name, class_names) for name in names}

    def download(self) -> None:
        """There is nothing to fetch: say what is missing."""
        self.splits()

    def _classes(self, split: str) -> list[str]:
        folder = self.root / split
        if not folder.is_dir():
            raise UserError(
                f"{folder} is missing: dataset=folder needs dataset.root/train/CLASS/ and dataset.root/test/CLASS/"
            )
        try:
            return find_classes(str(folder))[0]
        except FileNotFoundError as error:
            raise UserError(f"{folder} holds no folders: each class needs one with its pictures") from error

    def _samples(self, split: str, class_names: list[str]) -> Samples:
        strangers = sorted(set(self._classes(split)) - set(class_names))
        if strangers:
            raise UserError(f"{self.root / split} has classes that train lacks: {', '.join(strangers)}")
        files = [
            (path, label)
            for label, name in enumerate(class_names)
            for path in sorted((self.root / split / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES
        ]
        if not files:
            raise UserError(f"{self.root / split} holds no pictures ({', '.join(sorted(SUFFIXES))})")
        paths, labels = zip(*files, strict=True)
        return FileSamples(paths, labels, class_names, self.root)
