"""Decoded images, kept for the epochs after the first one and shared by all loader processes.

Two files: the pixels, appended one image after another and read through a memory map, and an index with one record a
sample. They lie on disk, where trials share them and the system's page cache keeps them in free memory, or in
anonymous memory of this run, which is gone when its processes are.
"""

import fcntl
import hashlib
import json
import mmap
import os
import struct
import warnings
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from hma_ft.config.schema import DatasetConfig, ImageCaching
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.datasets.base import FileDataset, ImageDataset
from hma_ft.errors import UserError
from hma_ft.files.disk_lru import make_room

FORMAT = 2  # of the files; part of the key
_RECORD = struct.Struct("<4q")  # offset, height, width, checksum; a checksum of 0: absent


class ImageCache:
    """Images uint8 [3, H, W] by number, at most `limit_bytes` of them; what doesn't fit is not kept.

    An image is written once, whoever decodes it first, and checked once by each process that reads it. A damaged one
    counts as absent. A disk that refuses is warned about, and the run goes on without.
    """

    def __init__(self, index: Path, pixels: Path, *, limit_bytes: int) -> None:
        """Both files exist; the index holds zeros for every sample."""
        self._paths = index, pixels
        self._limit = limit_bytes
        self._owner = 0  # the process that opened them
        self._full = False

    def get(self, number: int, decode: Callable[[], Tensor]) -> Tensor:
        """The image, from here or else decoded and kept.

        A loader process that starts once another run has removed the files, to make room, decodes and keeps nothing.
        """
        if not self._is_open():
            return decode()
        image = self._read(number)
        if image is None:
            image = decode()
            self._keep(number, image)
        return image

    def __getstate__(self) -> dict[str, object]:
        """Loader processes that aren't forked open the files anew."""
        return {"_paths": self._paths, "_limit": self._limit, "_owner": 0, "_full": False}

    def _is_open(self) -> bool:
        """Open the files if they are there: every process has its own map and its own notes on what it has checked."""
        if self._owner == os.getpid():
            return True
        try:
            self._index, self._pixels = (path.open("r+b", buffering=0) for path in self._paths)
        except FileNotFoundError:
            return False
        self._checked: dict[int, tuple[int, int, int]] = {}  # offset, height, width
        self._map: mmap.mmap | None = None
        self._owner = os.getpid()
        return True

    def _read(self, number: int) -> Tensor | None:
        if number in self._checked:
            return self._rows(*self._checked[number])
        record = os.pread(self._index.fileno(), _RECORD.size, number * _RECORD.size)
        offset, height, width, checksum = _RECORD.unpack(record)
        if checksum == 0:
            return None
        image = self._rows(offset, height, width)
        if image is None or _checksum(image.permute(1, 2, 0)) != checksum:
            return None
        self._checked[number] = offset, height, width
        return image

    def _rows(self, offset: int, height: int, width: int) -> Tensor | None:
        """What lies there; None past the end."""
        size = 3 * height * width
        if self._map is None or offset + size > len(self._map):
            length = os.fstat(self._pixels.fileno()).st_size
            if offset + size > length:
                return None
            self._map = mmap.mmap(
                self._pixels.fileno(), length, flags=mmap.MAP_PRIVATE
            )  # so that nothing can alter the file
        rows = torch.frombuffer(self._map, dtype=torch.uint8, count=size, offset=offset)
        return rows.view(height, width, 3).permute(2, 0, 1)

    def _keep(self, number: int, image: Tensor) -> None:
        rows = image.permute(1, 2, 0).contiguous()
        if self._full or rows.numel() == 0:
            return
        try:
            with self._writing():
                offset = os.fstat(self._pixels.fileno()).st_size
                self._full = offset + rows.numel() > self._limit
                if self._full:
                    return
                _write(self._pixels.fileno(), rows, offset)
                record = _RECORD.pack(offset, rows.shape[0], rows.shape[1], _checksum(rows))
                os.pwrite(self._index.fileno(), record, number * _RECORD.size)
                self._checked[number] = offset, rows.shape[0], rows.shape[1]
        except OSError as error:
            self._full = True
            warnings.warn(f"decoded images can't be kept ({error}); the run goes on without", stacklevel=3)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One process at a time."""
        fcntl.lockf(self._index, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._index, fcntl.LOCK_UN)


class CachedDataset(ImageDataset):
    """Image files of a split, decoded once."""

    def __init__(self, samples: FileDataset, cache: ImageCache, first: int) -> None:
        """`first`: the number of the split's first sample in the cache."""
        self.samples = samples
        self.cache = cache
        self.first = first
        self.labels = samples.labels
        self.class_names = samples.class_names

    def load(self, index: int) -> Tensor:
        """The same numbers as the file's, in the same memory layout."""
        return self.cache.get(self.first + index, lambda: self.samples.load(index))

    def sample_id(self, index: int) -> str:
        """As without a cache."""
        return self.samples.sample_id(index)

    def content_digests(self) -> list[str]:
        """As without a cache."""
        return self.samples.content_digests()

    def raw_digests(self) -> list[str]:
        """As without a cache."""
        return self.samples.raw_digests()

    def use_index(self, index: ContentIndex) -> None:
        """As without a cache."""
        self.samples.use_index(index)


def cached(parts: dict[str, ImageDataset], config: DatasetConfig) -> dict[str, ImageDataset]:
    """The splits with a cache of decoded images as `config.cache` says; those that are in memory stay as they are."""
    files = {name: samples for name, samples in parts.items() if isinstance(samples, FileDataset)}
    if config.cache is ImageCaching.none or not files:
        return parts
    count, limit = sum(map(len, files.values())), int(config.cache_gb * 1e9)
    if config.cache is ImageCaching.ram:
        cache = _in_memory(count, limit)
    else:
        cache = _on_disk(Path(config.cache_dir), list(files.values()), count, limit)
    wrapped, first = dict(parts), 0
    for name, samples in files.items():
        wrapped[name] = CachedDataset(samples, cache, first)
        first += len(samples)
    return wrapped


def _in_memory(count: int, limit: int) -> ImageCache:
    """In files without a name, which other processes reach through this one's descriptors."""
    if not hasattr(os, "memfd_create"):
        raise UserError("dataset.cache=ram needs Linux: use dataset.cache=disk or none")
    index, pixels = os.memfd_create("index"), os.memfd_create("pixels")
    os.truncate(index, count * _RECORD.size)
    own = Path(f"/proc/{os.getpid()}/fd")
    cache = ImageCache(own / str(index), own / str(pixels), limit_bytes=limit)
    for descriptor in (index, pixels):
        weakref.finalize(cache, os.close, descriptor)
    return cache


def _on_disk(root: Path, files: Sequence[FileDataset], count: int, limit: int) -> ImageCache:
    """In a folder named by all that the pixels depend on: the content of the files, and the decoders."""
    decoders = [version("torchvision"), version("pillow")]
    digest = hashlib.sha256(json.dumps([FORMAT, decoders]).encode())
    for samples in files:
        for content in samples.content_digests():
            digest.update(f"{content}\n".encode())
    directory = root / digest.hexdigest()[:24]
    index, pixels = directory / "index", directory / "pixels"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        pixels.touch()
        with index.open("ab") as file:
            file.truncate(count * _RECORD.size)  # of zeros; what is there stays
        os.utime(directory)  # the time of last use
    except OSError as error:
        raise UserError(
            f"decoded images can't be kept in dataset.cache_dir={root} ({error.strerror}): give a folder that you "
            "may write, or dataset.cache=none"
        ) from error
    others = make_room(root, directory, limit) - pixels.stat().st_size
    return ImageCache(index, pixels, limit_bytes=limit - others)


def _write(descriptor: int, rows: Tensor, offset: int) -> None:
    """All of it, or OSError."""
    content = rows.numpy().data.cast("B")
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], offset + written)


def _checksum(rows: Tensor) -> int:
    """Never 0."""
    return zlib.crc32(rows.numpy().data) + 1
