"""Samples with labels, and the sources that find them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hma_ft.data.decode import decode
from hma_ft.errors import UserError


class Samples(ABC):
    """Pictures of a split."""

    labels: Tensor  # int64 [N]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def load(self, index: int) -> Tensor:
        """uint8 [3, H, W]; UserError with the path if it can't be read."""

    @abstractmethod
    def key(self, index: int) -> str:
        """What identifies the picture within the data set, on any machine."""


class FileSamples(Samples):
    """Picture files."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], class_names: Sequence[str], root: Path) -> None:
        self.paths = list(paths)
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.class_names = list(class_names)
        self.root = root

    def load(self, index: int) -> Tensor:
        """Decode the file."""
        return decode(self.paths[index])

    def key(self, index: int) -> str:
        """The path below the root."""
        return self.paths[index].relative_to(self.root).as_posix()


class ArraySamples(Samples):
    """Pictures in memory."""

    def __init__(self, pictures: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
        """`pictures`: uint8 [N, 3, H, W]."""
        self.pictures = pictures
        self.labels = labels
        self.class_names = list(class_names)

    def load(self, index: int) -> Tensor:
        """The picture."""
        return self.pictures[index]

    def key(self, index: int) -> str:
        """Its place, as the order is part of the data set."""
        return str(index)


class Subset(Samples):
    """Some of the samples of another split."""

    def __init__(self, samples: Samples, indices: Tensor) -> None:
        self.samples = samples
        self.indices = indices
        self.labels = samples.labels[indices]
        self.class_names = samples.class_names

    def load(self, index: int) -> Tensor:
        """The picture."""
        return self.samples.load(int(self.indices[index]))

    def key(self, index: int) -> str:
        """As in the split it comes from."""
        return self.samples.key(int(self.indices[index]))


class Source(ABC):
    """A data set on disk."""

    def __init__(self, root: Path, options: dict[str, Any]) -> None:
        self.root = root
        self.options = options

    @abstractmethod
    def splits(self) -> dict[str, Samples]:
        """`train`, `test`, and `val` where there is an official one; UserError that says what is missing."""

    def download(self) -> None:
        """Fetch what is missing below the root."""
        raise UserError(f"{type(self).__name__} can't be downloaded: put it below dataset.root={self.root}")

    def is_present(self) -> bool:
        """Whether all splits can be read."""
        try:
            self.splits()
        except UserError:
            return False
        return True
