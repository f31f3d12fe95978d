"""Checkpoints that survive a crash: written aside, synced, renamed; the name holds the checksum.

Kinds: `step` continues a run, `best` holds the weights that val chose, `support` what they read of training images.
"""

import contextlib
import hashlib
import os
import re
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import torch

from hma_ft.errors import UserError

KEPT = 2
_DIGITS = 16  # of the checksum in a name
_NAME = re.compile(rf"(?P<kind>[a-z]+)-(?P<step>\d{{8}})-(?P<digest>[0-9a-f]{{{_DIGITS}}})\.pt")


def save(directory: Path, state: dict[str, Any], *, kind: str, step: int) -> Path:
    """Write `state` (tensors, numbers, strings and containers of them) as `kind`-`step`-`checksum`.pt.

    Raises UserError if the disk refuses; what was saved before stays.
    """
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{kind}-{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            written = _Hashed(file)
            torch.save(state, written)  # type: ignore[arg-type]  # it calls write and flush
            file.flush()
            os.fsync(file.fileno())
        path = directory / f"{kind}-{step:08d}-{written.digest}.pt"
        temporary.replace(path)
        _sync_directory(directory)
    except (OSError, RuntimeError) as error:  # torch wraps what the file object raises
        with contextlib.suppress(OSError):
            temporary.unlink()
        cause = error if isinstance(error, OSError) else error.__context__ or error
        raise UserError(
            f"the checkpoint of step {step} can't be written to {directory} ({cause}); the one before it is intact: "
            "make room and give the same command again to continue"
        ) from error
    return path


class _Hashed:
    """A file that is written from its beginning to its end, and its checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def write(self, content: bytes) -> int:
        """Pass on to the file."""
        self._sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        """Pass on to the file."""
        self._file.flush()

    @property
    def digest(self) -> str:
        """The checksum of what was written so far."""
        return self._sha256.hexdigest()[:_DIGITS]


def prune(directory: Path, *, kind: str, keep: int = KEPT) -> None:
    """Remove all but the newest `keep` files of a kind, and what a killed process left behind."""
    for path in _newest_first(directory, kind)[keep:]:
        path.unlink(missing_ok=True)
    for leftover in directory.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def prune_others(directory: Path, *, kind: str, names: Collection[str]) -> None:
    """Remove the files of a kind that are not named."""
    for path in _newest_first(directory, kind):
        if path.name not in names:
            path.unlink(missing_ok=True)


def remove_later(directory: Path, *, kind: str, step: int) -> None:
    """Remove the files of a kind that were written after `step`."""
    for path in _newest_first(directory, kind):
        if _step(path) > step:
            path.unlink(missing_ok=True)


def exists(directory: Path, *, kind: str) -> bool:
    """Whether there is any of a kind, whole or damaged."""
    return bool(_newest_first(directory, kind))


def load_newest(directory: Path, *, kind: str) -> dict[str, Any] | None:
    """The newest checkpoint that is whole; None if there is none at all.

    A damaged one is passed over with a warning. If all are damaged a UserError says so, and nothing is deleted.
    """
    paths = _newest_first(directory, kind)
    for path in paths:
        try:
            return load(path)
        except UserError as error:
            warnings.warn(f"{str(error).split(';')[0]}; trying the one before it", stacklevel=2)
    if paths:
        names = ", ".join(path.name for path in paths)
        raise UserError(
            f"all checkpoints in {directory} are damaged ({names}): restore one from a backup, or start over with "
            "fresh=true"
        )
    return None


def load_step(directory: Path, *, kind: str, step: int) -> dict[str, Any] | None:
    """What was saved of a kind after `step`, last; None if there is no such file. UserError if it is damaged."""
    path = next((path for path in _newest_first(directory, kind) if _step(path) == step), None)
    return None if path is None else load(path)


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote; UserError if the checksum in the name does not fit the contents."""
    match = _NAME.fullmatch(path.name)
    if match is None or not path.is_file():
        raise UserError(f"{path} is no checkpoint of this suite, or is missing")
    if _digest(path) != match["digest"]:
        raise UserError(
            f"checkpoint {path} is damaged (its checksum differs); restore it, or start over with fresh=true"
        )
    return torch.load(path, map_location="cpu", weights_only=True)


def _newest_first(directory: Path, kind: str) -> list[Path]:
    """By step; of one step, as before and after its evaluation, by the time of writing."""
    found = [path for path in directory.glob(f"{kind}-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_step(path), path.stat().st_mtime_ns), reverse=True)


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match["step"]) if match else -1


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
