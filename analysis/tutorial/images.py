"""Images to try the suite with: scikit-learn's handwritten digits as two folders of PNG files.

python -m analysis.tutorial.images FOLDER NEW [--per-class 50]

FOLDER gets FOLDER/CLASS/*.png, so many images a class; NEW gets twenty further images without their classes.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from analysis.arguments import exit_code
from hma_ft.config.paths import path_argument
from hma_ft.errors import UserError
from hma_ft.names import counted

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SIDE = 64  # pixels; the originals have 8
_NEW = 20
_LARGEST = 150  # images a class, of the 174 that the rarest one has


def write_images(folder: Path, new: Path, per_class: int) -> int:
    """Write the images and return how many have a class. Raises UserError where a folder holds something already."""
    if not 1 <= per_class <= _LARGEST:
        raise UserError(f"--per-class {per_class} must be 1 to {_LARGEST}")
    for path in (folder, new):
        if path.exists() and any(path.iterdir()):
            raise UserError(f"{path} is not empty: give another folder, or remove it")
        path.mkdir(parents=True, exist_ok=True)
    written: Counter[str] = Counter()
    unlabelled = 0
    for number, (pixels, label) in enumerate(zip(*load_digits(return_X_y=True), strict=True)):
        name = CLASSES[label]
        image = _image(pixels.reshape(8, 8))
        if written[name] < per_class:
            (folder / name).mkdir(exist_ok=True)
            image.save(folder / name / f"{number:04d}.png")
            written[name] += 1
        elif unlabelled < _NEW:
            image.save(new / f"{number:04d}.png")
            unlabelled += 1
    return written.total()


def _image(pixels: np.ndarray) -> Image.Image:
    """Black on white, from values of 0 to 16."""
    grey = Image.fromarray((255 - pixels * (255 / 16)).astype(np.uint8))
    return grey.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line if a folder is in the way."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.tutorial.images",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=path_argument, metavar="FOLDER", help="for the images with a class")
    parser.add_argument("new", type=path_argument, metavar="NEW", help="for twenty further images")
    parser.add_argument("--per-class", type=int, default=50, help="images a class (default: 50)")
    chosen = parser.parse_args(arguments)
    return exit_code(lambda: _write(chosen.folder, chosen.new, chosen.per_class))


def _write(folder: Path, new: Path, per_class: int) -> None:
    written = write_images(folder, new, per_class)
    print(f"{counted(written, 'image')} of {len(CLASSES)} classes in {folder}, {_NEW} without a class in {new}")


if __name__ == "__main__":
    sys.exit(main())
