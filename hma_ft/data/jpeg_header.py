"""The header of a JPEG file, read without decoding it: its size, and whether it carries metadata.

Opening a file with pillow tells the same, in half the time that decoding a small image takes.
"""

import struct
from typing import NamedTuple

START = b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers, which hold the size
_APP1 = 0xE1  # EXIF and XMP
_SCAN = 0xDA  # pixels follow


class JpegHeader(NamedTuple):
    """Size in pixels as stored, and whether the file has a segment that may hold an orientation."""

    height: int
    width: int
    has_metadata: bool


def read_jpeg_header(content: bytes) -> JpegHeader | None:
    """Header of a JPEG file; None where the segments before the pixels are damaged or lack a size."""
    place, has_metadata, height, width = 2, False, 0, 0
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker == _SCAN:
            break
        if marker in _FRAMES and place + 9 <= len(content):
            height, width = struct.unpack_from(">HH", content, place + 5)
        has_metadata = has_metadata or marker == _APP1
        place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    return JpegHeader(height, width, has_metadata) if height and width else None
