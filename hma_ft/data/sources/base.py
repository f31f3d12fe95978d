"""Samples with labels, and the sources that find them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hma_ft.data.decode import decode
from hma_ft.data.image_files import LeftOut
from hma_ft.errors import UserError
from hma_ft.names import printable


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

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        class_names: Sequence[str],
        root: Path,
        *,
        upright: bool = False,
    ) -> None:
        """`upright`: turn images as their EXIF orientation says."""
        self.paths = list(paths)
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.class_names = list(class_names)
        self.root = root
        self.upright = upright

    def load(self, index: int) -> Tensor:
        """Decode the file."""
        return decode(self.paths[index], upright=self.upright)

    def key(self, index: int) -> str:
        """The path below the root."""
        return printable(self.paths[index].relative_to(self.root))


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


@dataclass
class Scan:
    """What a source found: its splits, what the user should know about them, and what keeps them from being used."""

    parts: dict[str, Samples]  # of what could be read, if there are problems
    notes: list[str] = field(default_factory=list)  # a line each
    problems: list[str] = field(default_factory=list)  # a line each, with the remedy
    layout: str = "official splits"  # in words
    left_out: LeftOut = field(default_factory=LeftOut)

    def require(self) -> dict[str, Samples]:
        """The splits. Raises UserError with a line for each problem."""
        if self.problems:
            raise UserError("\n".join(self.problems))
        return self.parts


class Source(ABC):
    """A data set on disk."""

    def __init__(self, root: Path, options: dict[str, Any]) -> None:
        self.root = root
        self.options = options

    @abstractmethod
    def splits(self) -> dict[str, Samples]:
        """`train`, and `test` and `val` where they are not to be drawn; UserError that says what is missing."""

    def scan(self) -> Scan:
        """The splits with remarks; a source that can name several problems at once says so here."""
        return Scan(self.splits())

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
