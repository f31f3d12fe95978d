"""An image file as uint8 RGB, whatever it holds."""

import re
import warnings
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from hma_ft.data.image_plugins import format_of, missing_plugin
from hma_ft.data.jpeg_header import START, read_jpeg_header
from hma_ft.data.orientation import UPRIGHT, exif_orientation, turned_upright
from hma_ft.data.pixel_formats import rgb_pixels
from hma_ft.errors import UserError
from hma_ft.names import printable

_MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)  # where pillow refuses too; half a gigabyte of RGB


class UndecodableError(Exception):
    """Why an image file can't be decoded, in one line without its name."""


def decode(path: Path, *, upright: bool = False) -> Tensor:
    """uint8 [3, H, W], the channels of a pixel side by side in memory. Goes by the contents, not by the file's name.

    Grey, palette, RGBA (on white), CMYK, 16-bit and float images become RGB; of several frames the first is taken.
    `upright` turns the image as its EXIF orientation says. Raises UserError with the path for a file that is truncated
    or no image.
    """
    try:
        return decode_content(read_file(path), upright=upright)
    except UndecodableError as error:
        raise UserError(
            f"cannot decode image {printable(path)} ({error}): replace it or take it out of the data set"
        ) from error


def read_file(path: Path) -> bytes:
    """The bytes of an image file. Raises UserError where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read image {printable(path)} ({error.strerror}): restore it or take it out of the data set"
        ) from error


def decode_content(content: bytes, *, upright: bool = False) -> Tensor:
    """uint8 [3, H, W] of an image file that was read already. Raises UndecodableError."""
    header = read_jpeg_header(content) if content.startswith(START) and _is_whole(content) else None
    if header is not None:
        if header.height * header.width > _MOST_PIXELS:
            raise UndecodableError(f"{header.width} x {header.height} pixels are too many: shrink it")
        try:
            pixels = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
        except RuntimeError:
            pass  # CMYK and other rare kinds, which pillow knows
        else:
            return turned_upright(pixels, stored_orientation(content)) if upright else pixels
    return _decode_by_pillow(content, upright)


def _decode_by_pillow(content: bytes, upright: bool) -> Tensor:
    name = format_of(content)
    missing = missing_plugin(name) if name else None
    if missing:
        raise UndecodableError(missing)
    try:
        with open_image(content) as image:
            image.load()
            pixels = rgb_pixels(image)
            return turned_upright(pixels, exif_orientation(image)) if upright else pixels
    except Exception as error:  # pillow's parsers and plugins raise a dozen kinds on damaged files
        raise UndecodableError(_reason(content, error)) from error


def open_image(content: bytes) -> Image.Image:
    """pillow's image of a file's bytes, pixels not yet decoded; it may raise anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on odd metadata, and on the 100 million pixels of a large camera
        return Image.open(BytesIO(content))


def stored_orientation(content: bytes) -> int:
    """EXIF orientation of an image file, 1 to 8; 1 where it has none, or can't be opened."""
    header = read_jpeg_header(content) if content.startswith(START) else None
    if header is not None and not header.has_metadata:
        return UPRIGHT
    try:
        with open_image(content) as image:
            return exif_orientation(image)
    except Exception:  # whoever decodes the pixels will tell, unless it is the metadata that pillow dislikes
        return UPRIGHT


def _reason(content: bytes, error: Exception) -> str:
    """What is wrong with a file, in a few words."""
    if not content:
        return "zero bytes"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {_MOST_PIXELS} pixels are too many: shrink it"
    if isinstance(error, UnidentifiedImageError):
        if content[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
            return "it is a web page"
        return "only zeros" if not any(content) else "no image, or of an unknown format"
    text = re.sub(r"<[^<>]* at 0x[0-9a-f]+>", "it", str(error)) or type(error).__name__
    return text.splitlines()[0]


def _is_whole(content: bytes) -> bool:
    """Whether a JPEG has its end marker: libjpeg fills up a truncated one with grey and says nothing."""
    return b"\xff\xd9" in content[-1024:]
