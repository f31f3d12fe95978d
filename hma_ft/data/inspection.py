"""Every image of a data set opened and decoded, and what it turned out to be."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from hma_ft.data.datasets.base import FileDataset, ImageDataset, Subset
from hma_ft.data.decode import UndecodableError, decode_content, open_image, read_file
from hma_ft.data.orientation import UPRIGHT, exif_orientation
from hma_ft.errors import UserError

_CHUNK = 64  # files a process takes at once
_KINDS = {"1": "1-bit", "L": "grey", "P": "palette", "I": "32-bit grey", "F": "float"}


class ImageFacts(NamedTuple):
    """What one image is."""

    error: str | None  # why it can't be decoded; None: it can
    height: int = 0  # pixels, as a run sees it
    width: int = 0
    kind: str = "RGB"  # of pixels: RGB, grey, palette, with alpha, CMYK, 16-bit grey, ...
    orientation: int = UPRIGHT  # EXIF, 1 to 8


Track = Callable[[Iterable[list[ImageFacts]], int, str], Iterator[list[ImageFacts]]]


def inspect(splits: Mapping[str, ImageDataset], track: Track) -> dict[str, list[ImageFacts]]:
    """Facts about all images of each split, in order, decoded in several processes.

    `track` wraps the chunks of a split, whose number and name it is told, to show how far they are.
    """
    found = {}
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=_one_thread) as pool:
        for name, samples in splits.items():
            files, upright = _files(samples)
            if files is None:
                found[name] = [_loaded(samples, index) for index in range(len(samples))]
                continue
            chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
            try:
                results = track(pool.map(_inspect_files, chunks, [upright] * len(chunks)), len(chunks), name)
                found[name] = [facts for chunk in results for facts in chunk]
            except BrokenProcessPool as error:
                raise UserError(
                    f"a process that decoded images of {name} was killed: make room in memory, or look for a damaged "
                    "image that ends its decoder"
                ) from error
    return found


def _files(samples: ImageDataset) -> tuple[list[Path] | None, bool]:
    """The files behind samples, None if they are not plain files; and whether they are turned upright."""
    if isinstance(samples, FileDataset):
        return samples.paths, samples.upright
    if isinstance(samples, Subset):
        files, upright = _files(samples.samples)
        return None if files is None else [files[index] for index in samples.indices.tolist()], upright
    return None, False


def _loaded(samples: ImageDataset, index: int) -> ImageFacts:
    try:
        _, height, width = samples.load(index).shape
    except UserError as error:
        return ImageFacts(str(error))
    return ImageFacts(None, height, width)


def _inspect_files(files: Sequence[Path], upright: bool) -> list[ImageFacts]:
    return [inspect_file(path, upright=upright) for path in files]


def inspect_file(path: Path, *, upright: bool) -> ImageFacts:
    """Decode an image file, and read its header for what the pixels no longer tell."""
    try:
        content = read_file(path)
        _, height, width = decode_content(content, upright=upright).shape
        with open_image(content) as image:
            return ImageFacts(None, height, width, _kind(image), exif_orientation(image))
    except (UserError, UndecodableError) as error:
        return ImageFacts(str(error))


def _kind(image: Image.Image) -> str:
    if image.mode.startswith("I;16"):
        return "16-bit grey"
    if "transparency" in image.info or image.mode.lower() in ("rgba", "la", "pa"):
        return "with alpha"
    return _KINDS.get(image.mode, image.mode)


def _one_thread() -> None:
    torch.set_num_threads(1)
