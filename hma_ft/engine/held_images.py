"""Which training images the memories of a method hold, and how they are recognised and named without their data set."""

from typing import NamedTuple

import torch
from torch import Tensor

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.memory.ring_buffer import NO_ID
from hma_ft.methods.base import Method

HELD_IMAGES = "held_images"  # key of a checkpoint


class HeldImages(NamedTuple):
    """Training images whose features a memory holds."""

    ids: Tensor  # int64 [M], places in the train split, sorted
    digests: Tensor  # uint8 [M, 16], of the images as they are stored: the files' bytes, or an array's pixels
    names: list[str] | None = None  # [M], what identifies them in their data set; None: an earlier version saved none

    def by_digest(self) -> dict[str, int]:
        """Ids by digest, 32 hexadecimal digits; of equal images the first."""
        return dict(zip(reversed(self._digest_texts()), reversed(self.ids.tolist()), strict=True))

    def copies(self) -> dict[int, int]:
        """Ids of copies: of each image that equals an earlier one, with the id of that one."""
        first = self.by_digest()
        pairs = zip(self.ids.tolist(), map(first.__getitem__, self._digest_texts()), strict=True)
        return {own: original for own, original in pairs if own != original}

    def _digest_texts(self) -> list[str]:
        return [bytes(row).hex() for row in self.digests.numpy()]

    def by_id(self) -> dict[int, str]:
        """Names by id; empty where none were saved."""
        return {} if self.names is None else dict(zip(self.ids.tolist(), self.names, strict=True))


def held_images(method: Method, train: ImageDataset) -> HeldImages:
    """Return the training images that some inference mode reads, once all modes were prepared.

    Digests and names are asked of the data set only where there is such an image.
    """
    modes = method.inference_modes()
    held = [memory.ids for mode in modes for memory in method.memories(mode).values()]
    held += [rows.ids for mode in modes if (rows := method.lookup_rows(mode)) is not None]
    ids = torch.cat([torch.empty(0, dtype=torch.int64), *(part.flatten().cpu() for part in held)]).unique()
    ids = ids[ids != NO_ID]
    if len(ids) == 0:
        return HeldImages(ids, torch.empty(0, 0, dtype=torch.uint8))
    digests = train.raw_digests()
    content = bytearray.fromhex("".join(digests[index] for index in ids.tolist()))
    names = [train.sample_id(index) for index in ids.tolist()]
    return HeldImages(ids, torch.frombuffer(content, dtype=torch.uint8).view(len(ids), -1), names)
