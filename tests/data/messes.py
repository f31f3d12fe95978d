"""Folders of images with the troubles that real ones have."""

import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.layouts import image

ORIENTATION = 274  # the EXIF tag


def save_turned(path: Path, pixels: np.ndarray, orientation: int) -> None:
    """Store pixels [H, W, 3] so that a viewer which follows the EXIF orientation shows them as they are."""
    stored = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels.transpose(1, 0, 2)[::-1],
        7: pixels.transpose(1, 0, 2)[::-1, ::-1],
        8: pixels.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)


def mess(root: Path) -> None:
    """root/CLASS/ with one of each trouble that leaves the data readable, and two that don't."""
    for label, (name, count) in enumerate({"bird": 60, "cat": 12, "dog": 12, "fish": 4, "gnu": 1}.items()):
        for number in range(count):
            image(root / name / f"{number:02d}.png", 1000 * label + number)
    # unreadable
    (root / "cat" / "empty.jpg").write_bytes(b"")
    (root / "cat" / "page.jpg").write_text("<!DOCTYPE html><html>404</html>")
    whole = root / "dog" / "cut.jpg"
    image(whole, 7, (80, 60))
    whole.write_bytes(whole.read_bytes()[:-200])
    (root / "dog" / b"caf\xe9.jpg".decode(errors="surrogateescape")).write_bytes(b"\xff\xd8\xff nothing")
    # left out
    (root / "cat" / "notes.txt").write_text("no image")
    for number in range(2):
        (root / "dog" / f"film{number}.mov").write_bytes(b"film")
    (root / "cat" / "._00.png").write_bytes(b"resource fork")
    (root / "cat" / "Thumbs.db").write_bytes(b"thumbnails")
    (root / "bird" / "gone.png").symlink_to(root / "nowhere.png")
    image(root / "stray.png", 99)
    for hidden in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        image(root / hidden / "a.png", 1)
        image(root / "dog" / hidden / "a.png", 1)
    # followed
    image(root.parent / "elsewhere" / "linked.png", 4321)
    (root / "dog" / "link").symlink_to(root.parent / "elsewhere")
    (root / "dog" / "circle").symlink_to(root / "dog")
    (root / "dog" / "up").symlink_to(root)
    image(root / "dog" / "album.jpg" / "inside.png", 4322)
    # equal
    shutil.copy(root / "cat" / "03.png", root / "cat" / "again.png")
    shutil.copy(root / "cat" / "04.png", root / "dog" / "not a cat.png")
    # shapes, orientations, pixel formats
    image(root / "bird" / "strip.png", 55, (400, 1))
    for orientation in range(1, 9):
        pixels = np.random.default_rng(orientation).integers(0, 256, (12, 20, 3), dtype=np.uint8)
        save_turned(root / "bird" / f"turned{orientation}.jpg", pixels, orientation)
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(root / "bird" / "deep.png")
    Image.fromarray(np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)).save(root / "bird" / "float.tif")
    Image.new("CMYK", (20, 16), (0, 90, 200, 0)).save(root / "bird" / "print.jpg")
    Image.new("RGBA", (20, 16), (9, 90, 200, 99)).save(root / "bird" / "clear.webp")
    os.utime(root)
