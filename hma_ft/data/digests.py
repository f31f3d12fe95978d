"""Digests that say whether two images are the same: by the bytes of a file, or by pixels. All are 32 hex digits."""

import hashlib
import json
from pathlib import Path

import numpy as np
from torch import Tensor

_SIZE = 16  # bytes: two of a billion different images are equal by chance once in 10^20 times


def bytes_digest(content: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.blake2b(content, digest_size=_SIZE).hexdigest()


def file_digest(path: Path | str) -> str:
    """Return the digest of a file's content, read in pieces. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_SIZE)).hexdigest()


def pixel_digest(image: Tensor) -> str:
    """Return the digest of an image's shape, dtype and pixels, whatever their order in memory."""
    pixels = np.ascontiguousarray(image.numpy())
    digest = hashlib.blake2b(f"{tuple(image.shape)} {image.dtype} ".encode(), digest_size=_SIZE)
    digest.update(pixels.data)
    return digest.hexdigest()


def derived_digest(digest: str, *change: str | int | float) -> str:
    """Return the digest of what a change makes of the image with this digest."""
    return bytes_digest(json.dumps([digest, *change]).encode())
