"""Datasets of labelled images, and the builders that find them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hma_ft.data.content_index import ContentIndex, file_stamp
from hma_ft.data.decode import decode
from hma_ft.data.digests import derived_digest, pixel_digest
from hma_ft.data.draw_rules import NO_RULES, DrawRules
from hma_ft.data.image_files import LeftOut
from hma_ft.errors import UserError
from hma_ft.names import printable


class ImageDataset(ABC):
    """Images of a split."""

    labels: Tensor  # int64 [N]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def load(self, index: int) -> Tensor:
        """uint8 [3, H, W]; UserError with the path if it can't be read."""

    @abstractmethod
    def sample_id(self, index: int) -> str:
        """What identifies the image within the data set, on any machine."""

    @abstractmethod
    def content_digests(self) -> list[str]:
        """Digest of what `load` returns for each sample, in order: equal ones mean equal pixels.

        The name counts for nothing. Whatever keeps features or pixels is keyed on these.
        """

    @abstractmethod
    def raw_digests(self) -> list[str]:
        """Digest of each image as it is stored, in order, before anything is done to it: equal ones are one image."""

    def use_index(self, index: ContentIndex) -> None:  # noqa: B027 - images in memory have none
        """Remember digests of files in `index`; nothing to do where there are no files."""


class FileDataset(ImageDataset):
    """Image files."""

    def __init__(
        self,
        paths: Sequence[Path],
        labels: Sequence[int],
        class_names: Sequence[str],
        root: Path,
        *,
        names: Sequence[str] | None = None,
        upright: bool = False,
    ) -> None:
        """`names` are the samples' ids, None: their paths below the root; `upright`: turn as EXIF orientations say."""
        self.paths = list(paths)
        self.names = None if names is None else list(names)
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.class_names = list(class_names)
        self.root = root
        self.upright = upright
        self._index = ContentIndex()  # which forgets
        self._raw_digests: list[str] | None = None
        self._stamps: list[str | None] = []

    def load(self, index: int) -> Tensor:
        """Decode the file. UserError if it has changed since its digest was taken: pixels are kept under that."""
        image = decode(self.paths[index], upright=self.upright)
        self._require_unchanged(index)
        return image

    def sample_id(self, index: int) -> str:
        """The name that was given, else the path below the root."""
        if self.names is not None:
            return self.names[index]
        return printable(self.paths[index].relative_to(self.root))

    def content_digests(self) -> list[str]:
        """The files' digests, and whether they are turned upright."""
        raw = self.raw_digests()
        return [derived_digest(digest, "upright") for digest in raw] if self.upright else raw

    def raw_digests(self) -> list[str]:
        """The files' digests, each file read once at most."""
        if self._raw_digests is None:
            self._stamps = [
                file_stamp(path) for path in self.paths
            ]  # first: a file that changes now is looked at again
            self._raw_digests = self._index.digests(self.paths)
        return self._raw_digests

    def use_index(self, index: ContentIndex) -> None:
        """Remember the files' digests there."""
        self._index = index

    def _require_unchanged(self, index: int) -> None:
        if self._raw_digests is None:
            return
        path, stamp = self.paths[index], file_stamp(self.paths[index])
        if stamp == self._stamps[index]:
            return
        if ContentIndex().digests([path]) != [self._raw_digests[index]]:
            raise UserError(
                f"{printable(path)} has changed since this command began to read the data set: give it again once "
                "nobody writes there"
            )
        self._stamps[index] = stamp  # the same content at another time or place


class ArrayDataset(ImageDataset):
    """Images in memory."""

    def __init__(self, images: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
        """`images`: uint8 [N, 3, H, W]."""
        self.images = images
        self.labels = labels
        self.class_names = list(class_names)
        self._digests: list[str] | None = None

    def load(self, index: int) -> Tensor:
        """The image."""
        return self.images[index]

    def sample_id(self, index: int) -> str:
        """Its place, as the order is part of the data set."""
        return str(index)

    def content_digests(self) -> list[str]:
        """Digests of shape, dtype and pixels."""
        if self._digests is None:
            self._digests = [pixel_digest(image) for image in self.images]
        return self._digests

    def raw_digests(self) -> list[str]:
        """The same: nothing is done to the pixels."""
        return self.content_digests()


class Subset(ImageDataset):
    """Some of the samples of another split."""

    def __init__(self, samples: ImageDataset, indices: Tensor) -> None:
        self.samples = samples
        self.indices = indices
        self.labels = samples.labels[indices]
        self.class_names = samples.class_names

    def load(self, index: int) -> Tensor:
        """The image."""
        return self.samples.load(int(self.indices[index]))

    def sample_id(self, index: int) -> str:
        """As in the split it comes from."""
        return self.samples.sample_id(int(self.indices[index]))

    def content_digests(self) -> list[str]:
        """As in the split it comes from."""
        digests = self.samples.content_digests()
        return [digests[index] for index in self.indices.tolist()]

    def raw_digests(self) -> list[str]:
        """As in the split it comes from."""
        digests = self.samples.raw_digests()
        return [digests[index] for index in self.indices.tolist()]

    def use_index(self, index: ContentIndex) -> None:
        """As the split it comes from."""
        self.samples.use_index(index)


class Joined(ImageDataset):
    """The samples of one split, and those of another behind them; both have the same classes."""

    def __init__(self, first: ImageDataset, second: ImageDataset) -> None:
        self.parts = (first, second)
        self.labels = torch.cat([first.labels, second.labels])
        self.class_names = first.class_names

    def load(self, index: int) -> Tensor:
        """The image."""
        part, own = self._own(index)
        return part.load(own)

    def sample_id(self, index: int) -> str:
        """As in the split it comes from."""
        part, own = self._own(index)
        return part.sample_id(own)

    def content_digests(self) -> list[str]:
        """As in the splits they come from."""
        return [digest for part in self.parts for digest in part.content_digests()]

    def raw_digests(self) -> list[str]:
        """As in the splits they come from."""
        return [digest for part in self.parts for digest in part.raw_digests()]

    def use_index(self, index: ContentIndex) -> None:
        """As the splits they come from."""
        for part in self.parts:
            part.use_index(index)

    def _own(self, index: int) -> tuple[ImageDataset, int]:
        first, second = self.parts
        return (first, index) if index < len(first) else (second, index - len(first))


@dataclass
class Scan:
    """What a source found: its splits, what the user should know about them, and what keeps them from being used."""

    parts: dict[str, ImageDataset]  # of what could be read, if there are problems
    notes: list[str] = field(default_factory=list)  # a line each
    problems: list[str] = field(default_factory=list)  # a line each, with the remedy
    layout: str = "official splits"  # in words
    rules: DrawRules = NO_RULES  # of the splits that are missing
    fixed_classes: bool = False  # the classes are given: train need not have images of each
    left_out: LeftOut = field(default_factory=LeftOut)

    def require(self) -> dict[str, ImageDataset]:
        """The splits. Raises UserError with a line for each problem."""
        if self.problems:
            raise UserError("\n".join(self.problems))
        return self.parts


class DatasetBuilder(ABC):
    """A data set on disk."""

    def __init__(self, root: Path, options: dict[str, Any]) -> None:
        self.root = root
        self.options = options

    @abstractmethod
    def splits(self) -> dict[str, ImageDataset]:
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
