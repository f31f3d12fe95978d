"""The part that torchvision's data sets of image files have in common."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from hma_ft.data.datasets.base import DatasetBuilder, FileDataset, ImageDataset
from hma_ft.errors import UserError


class TorchvisionFiles(DatasetBuilder):
    """Files, labels and official splits as a torchvision class finds them below the root."""

    name: str  # in conf/dataset
    split_names: dict[str, str]  # ours -> the argument of torchvision

    @abstractmethod
    def open(self, split: str, *, download: bool) -> Dataset[Any]:
        """The torchvision data set of one of its own splits."""

    @abstractmethod
    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels and class names of an opened data set."""

    def splits(self) -> dict[str, ImageDataset]:
        """The official splits."""
        return {ours: self._samples(theirs) for ours, theirs in self.split_names.items()}

    def download(self) -> None:
        """Let torchvision fetch and unpack; it checks the archives' sums."""
        self.root.mkdir(parents=True, exist_ok=True)
        for split in self.split_names.values():
            opened(self.name, self.root, partial(self.open, split, download=True))

    def _samples(self, split: str) -> ImageDataset:
        dataset = opened(self.name, self.root, lambda: self.open(split, download=False))
        paths, labels, class_names = self.index(dataset)
        return FileDataset([Path(path) for path in paths], labels, class_names, self.root)


def opened(name: str, root: Path, build: Callable[[], Any]) -> Any:
    """What `build` gives; torchvision's complaints become a UserError with the command that helps."""
    try:
        return build()
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise UserError(
            f"{name} is not complete below dataset.root={root} ({reason}): "
            f"run `python run.py task=prepare dataset={name} dataset.root={root}` once, with network"
        ) from error
