"""Features on disk, shared by runs that differ only in what comes after a frozen backbone.

With nothing trainable below the head, the features of a step's views are a pure function of the backbone's weights,
the transform, the images' content and labels, the seed, the batch size, the libraries and the arithmetic in force. All
of these are in the key of a store, so that an entry is never stale; an entry is a whole step, so that the arithmetic is
that of a run without a store, bit for bit. Of finite views neither seed nor batch size matters: an entry has features
by the images' content and the number of the view (hma_ft/engine/view_features.py).
"""

import fcntl
import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hma_ft.engine.inputs import MicroBatch
from hma_ft.files.atomic import remove_leftovers, write_atomic
from hma_ft.files.disk_lru import make_room
from hma_ft.methods.base import LabelledFeatures

FORMAT = 2  # of the entries; part of the key
LOCKS = 64  # of entries that may be computed at the same time


class StoredStep(NamedTuple):
    """A training step's micro-batches on the CPU, and the seconds that loading and computing them took."""

    micro_batches: list[MicroBatch]
    seconds: float


class StoredSplit(NamedTuple):
    """A split's features on the CPU, and the seconds that reading and computing them took."""

    features: LabelledFeatures
    seconds: float


class StoredViews(NamedTuple):
    """Features of some finite views on the CPU, and the seconds that loading and computing them took."""

    contents: list[str]  # digests of the images
    numbers: list[int]  # which of an image's views
    features: Tensor  # [N, D]
    seconds: float


class FeatureStore:
    """A folder of safetensors files, each written in one step with its checksum; a damaged one counts as absent."""

    def __init__(self, root: Path, key: dict[str, Any], *, limit_bytes: int) -> None:
        """`key` holds everything that the features depend on; JSON."""
        text = json.dumps(key | {"format": FORMAT}, sort_keys=True)
        self.directory = root / hashlib.sha256(text.encode()).hexdigest()[:24]
        self.directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.directory)
        write_atomic(self.directory / "key.json", text)
        os.utime(self.directory)  # the time of last use
        self._limit = limit_bytes
        self._used = make_room(root, self.directory, limit_bytes)
        self._full = False

    def read_step(self, step: int) -> StoredStep | None:
        """Return a step, or None if it isn't stored."""
        found = self._read(f"step-{step:08d}")
        if found is None:
            return None
        tensors, seconds = found
        count = len(tensors) // len(MicroBatch._fields)
        batches = [MicroBatch(*(tensors[f"{name}/{i}"] for name in MicroBatch._fields)) for i in range(count)]
        return StoredStep(batches, seconds)

    def write_step(self, step: int, micro_batches: Sequence[MicroBatch], *, seconds: float) -> None:
        """Store a step that took `seconds` to load and compute."""
        fields = MicroBatch._fields
        self._write(
            f"step-{step:08d}",
            {f"{name}/{i}": getattr(batch, name) for i, batch in enumerate(micro_batches) for name in fields},
            seconds,
        )

    def read_split(self, split: str) -> StoredSplit | None:
        """Return the features of a split under the evaluation transform, or None if they aren't stored."""
        found = self._read(f"split-{split}")
        return None if found is None else StoredSplit(LabelledFeatures(**found[0]), found[1])

    def write_split(self, split: str, seen: LabelledFeatures, *, seconds: float) -> None:
        """Store the features of a split that took `seconds` to read and compute."""
        self._write(f"split-{split}", seen._asdict(), seconds)

    def view_entries(self) -> list[str]:
        """Names of the entries of finite views, in order."""
        return sorted(path.stem for path in self.directory.glob("views-*.safetensors"))

    def read_views(self, entry: str) -> StoredViews | None:
        """Return an entry of finite views, or None if it isn't stored."""
        found = self._read(entry)
        if found is None:
            return None
        tensors, seconds = found
        contents = [bytes(content.tolist()).hex() for content in tensors["contents"]]
        return StoredViews(contents, tensors["numbers"].tolist(), tensors["features"], seconds)

    def write_views(self, entry: str, views: StoredViews) -> None:
        """Store an entry of finite views."""
        contents = torch.tensor([list(bytes.fromhex(content)) for content in views.contents], dtype=torch.uint8)
        tensors = {"contents": contents, "numbers": torch.tensor(views.numbers), "features": views.features}
        self._write(entry, tensors, views.seconds)

    @contextmanager
    def producing(self, entry: str = "") -> Iterator[bool]:
        """Whether this process may compute what is missing: one at a time does, the others wait for its entries.

        With `entry` only those wait who would compute the same one, and few others.
        """
        self.directory.mkdir(parents=True, exist_ok=True)  # another run may have made room meanwhile
        name = f"producer-{zlib.crc32(entry.encode()) % LOCKS}.lock" if entry else "producer.lock"
        with (self.directory / name).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _read(self, name: str) -> tuple[dict[str, Tensor], float] | None:
        path = self.directory / f"{name}.safetensors"
        try:
            with safe_open(path, framework="pt") as file:
                # Copied to where torch puts tensors: the last digits of a product depend on the address modulo 64.
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - no iterator
                metadata = file.metadata()
            expected, seconds = metadata["digest"], float(metadata["seconds"])
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            expected, seconds, tensors = "", 0.0, {}
        if _digest(tensors, seconds) != expected:
            warnings.warn(f"stored features {path} are damaged; they are computed again", stacklevel=3)
            return None
        return tensors, seconds

    def _write(self, name: str, tensors: dict[str, Tensor], seconds: float) -> None:
        tensors = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        content = save(tensors, {"digest": _digest(tensors, seconds), "seconds": repr(seconds)})
        self._used += len(content)
        if self._used > self._limit:
            if not self._full:
                warnings.warn(
                    f"the feature store is full ({self._limit} bytes); further views aren't stored", stacklevel=3
                )
            self._full = True
            return
        try:
            write_atomic(self.directory / f"{name}.safetensors", content)
        except OSError as error:
            warnings.warn(f"features can't be stored ({error}); the run goes on without", stacklevel=3)


def _digest(tensors: dict[str, Tensor], seconds: float) -> str:
    digest = hashlib.blake2b(repr(seconds).encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)} {tensors[name].dtype}".encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
