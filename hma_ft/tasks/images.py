"""Folders of images that belong to no data set."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from hma_ft.data.decode import decode, stored_orientation
from hma_ft.data.orientation import UPRIGHT
from hma_ft.data.transforms import EvalTransform
from hma_ft.errors import UserError
from hma_ft.memory.ring_buffer import NO_ID

Identify = Callable[[Path, Tensor], int]  # the id of an image file, decoded uint8 [3, H, W]


class ImageBatch(NamedTuple):
    """Images that could be read, and the messages of those that couldn't."""

    paths: list[Path]
    images: list[Tensor]  # transformed
    ids: list[int]
    failed: list[str]
    lying: list[Path]  # of those that were read, the ones whose EXIF orientation was not followed


def no_id(path: Path, image: Tensor) -> int:
    """Take an image for none of the training images."""
    return NO_ID


def read_batches(
    paths: list[Path],
    transform: EvalTransform,
    *,
    size: int,
    identify: Identify = no_id,
) -> Iterator[ImageBatch]:
    """Images in batches, each with the id that `identify` gives it."""
    for start in range(0, len(paths), size):
        batch = ImageBatch([], [], [], [], [])
        for path in paths[start : start + size]:
            try:
                image = decode(path, upright=transform.upright)
            except UserError as error:
                batch.failed.append(str(error))
                continue
            batch.paths.append(path)
            batch.images.append(transform(image))
            batch.ids.append(identify(path, image))
            if not transform.upright and stored_orientation(path.read_bytes()) != UPRIGHT:
                batch.lying.append(path)
        yield batch
