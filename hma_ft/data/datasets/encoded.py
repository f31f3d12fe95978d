"""Images as the bytes of their files, in a table or an archive."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.decode import UndecodableError, decode_content
from hma_ft.data.digests import bytes_digest, derived_digest
from hma_ft.errors import UserError


class EncodedDataset(ImageDataset):
    """Files' bytes, decoded here."""

    def __init__(self, labels: Sequence[int], class_names: Sequence[str]) -> None:
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.class_names = list(class_names)
        self.upright = False  # turn images as their EXIF orientation says
        self._raw_digests: list[str] | None = None

    @abstractmethod
    def content(self, index: int) -> bytes:
        """The bytes of a sample's image file."""

    def load(self, index: int) -> Tensor:
        """uint8 [3, H, W]. UserError with the sample's id if it can't be decoded."""
        try:
            return decode_content(self.content(index), upright=self.upright)
        except UndecodableError as error:
            raise UserError(
                f"cannot decode image {self.sample_id(index)} ({error}): take it out of the data"
            ) from error

    def raw_digests(self) -> list[str]:
        """Digests of the bytes, read once at most."""
        if self._raw_digests is None:
            self._raw_digests = [bytes_digest(self.content(index)) for index in range(len(self))]
        return self._raw_digests

    def content_digests(self) -> list[str]:
        """The same, and whether images are turned upright."""
        raw = self.raw_digests()
        return [derived_digest(digest, "upright") for digest in raw] if self.upright else raw
