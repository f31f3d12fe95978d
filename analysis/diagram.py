"""Draws docs/overview.svg: how an image becomes a class, what a memory adds, and where PEFT sits.

python -m analysis.diagram [--out docs/overview.svg]

All text stands on a filled shape, and lines have a grey that shows on white and on black: one file for GitHub's light
and dark themes.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from hma_ft.config.paths import path_argument

TARGET = Path(__file__).resolve().parents[1] / "docs/overview.svg"
WIDTH, HEIGHT = 980, 330
LINE, INK = "#768390", "#1b2430"
FONT = "-apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"


class Box(NamedTuple):
    """A rounded box: a bold first line, lines below it, colour of its filling."""

    x: int
    y: int
    width: int
    height: int
    lines: tuple[str, ...]
    fill: str

    @property
    def left(self) -> tuple[int, int]:
        """Middle of the left side."""
        return self.x, self.y + self.height // 2

    @property
    def right(self) -> tuple[int, int]:
        """Middle of the right side."""
        return self.x + self.width, self.y + self.height // 2

    @property
    def bottom(self) -> tuple[int, int]:
        """Middle of the lower side."""
        return self.x + self.width // 2, self.y + self.height


NEUTRAL, BACKBONE, PEFT, MEMORY, HEAD = "#e3e8ee", "#cfe3f7", "#f9dfb4", "#cdebd9", "#e4d7f5"
MAIN = 185  # top of the row that every image passes
IMAGE = Box(10, MAIN + 15, 95, 70, ("image", "224 x 224"), NEUTRAL)
VIT = Box(145, MAIN - 25, 225, 150, ("ViT (timm)", "frozen, or everything trains"), BACKBONE)
ADAPTED = Box(
    161, MAIN + 38, 193, 72, ("PEFT inside the blocks", "LoRA, adapters, prompts,", "memory tokens, BitFit …"), PEFT
)
FEATURE = Box(410, MAIN + 15, 110, 70, ("features h", "[B, D]"), NEUTRAL)
ATTENTION = Box(580, MAIN + 5, 160, 90, ("attention", "h, label unknown,", "reads what is above"), HEAD)
CLASSIFIER = Box(790, MAIN + 15, 180, 70, ("classifier", "linear → logits [B, C]"), HEAD)
MEMORIES = (
    Box(410, 15, 180, 86, ("real memory", "R training images:", "feature and label"), MEMORY),
    Box(602, 15, 180, 86, ("class slots", "S learnable features", "of each class"), MEMORY),
    Box(794, 15, 176, 86, ("batch", "the other images", "of this step"), MEMORY),
)


def svg() -> str:
    """The picture, as the text of an SVG file."""
    row = (IMAGE, VIT, FEATURE, ATTENTION, CLASSIFIER)
    parts = [_arrow(a.right, b.left) for a, b in itertools.pairwise(row)]
    targets = (ATTENTION.x + 40, ATTENTION.x + 80, ATTENTION.x + 120)
    parts += [_elbow(box.bottom, (x, ATTENTION.y)) for box, x in zip(MEMORIES, targets, strict=True)]
    parts.append(_write())
    parts += [_box(box) for box in (*row, *MEMORIES, ADAPTED)]
    parts.append(_bypass())
    return "\n".join([_HEAD, *parts, "</svg>"]) + "\n"


_HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" \
role="img" aria-labelledby="title" font-family="{FONT}" font-size="13" fill="{INK}">
<title id="title">An image passes a ViT, inside which PEFT may train; its features go to a classifier, or first \
through attention over real memory, class slots and the batch.</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0 0 L10 5 L0 10 z" fill="{LINE}"/></marker></defs>"""


def _box(box: Box) -> str:
    middle, step = box.x + box.width // 2, 19
    # a box that holds another one has its text at the top
    first = box.y + 24 if box is VIT else box.y + box.height // 2 - (len(box.lines) - 1) * step // 2 + 5
    weights = [' font-weight="600"'] + [""] * (len(box.lines) - 1)
    lines = [
        f'<text x="{middle}" y="{first + number * step}" text-anchor="middle"{weight}>{escape(line)}</text>'
        for number, (line, weight) in enumerate(zip(box.lines, weights, strict=True))
    ]
    shape = f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="8" fill="{box.fill}" '
    return "\n".join([f'{shape}stroke="{LINE}"/>', *lines])


def _path(points: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    return f'<path d="{points}" fill="none" stroke="{LINE}" stroke-width="2"{dash} marker-end="url(#tip)"/>'


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    return _path(f"M{start[0]} {start[1]} H{end[0]}")


def _elbow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Down, across and down; straight down where both are above each other."""
    return _path(f"M{start[0]} {start[1]} V{(start[1] + end[1]) // 2} H{end[0]} V{end[1]}")


def _write() -> str:
    """After each training step the features enter the real memory."""
    x = FEATURE.x + 30
    note = Box(x - 150, 104, 138, 44, ("write", "after each step"), NEUTRAL)
    return f"{_path(f'M{x} {FEATURE.y} V{MEMORIES[0].y + MEMORIES[0].height}', dashed=True)}\n{_box(note)}"


def _bypass() -> str:
    """Without a memory the features go to the classifier as they are."""
    y, start, end = FEATURE.y + FEATURE.height, FEATURE.x + FEATURE.width // 2, CLASSIFIER.x + CLASSIFIER.width // 2
    note = Box(ATTENTION.x - 40, y + 20, 240, 28, ("without memory: linear head",), NEUTRAL)
    return f"{_path(f'M{start} {y} V{y + 34} H{end} V{y}', dashed=True)}\n{_box(note)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m analysis.diagram", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=path_argument, default=TARGET, metavar="FILE")
    out: Path = parser.parse_args(arguments).out
    out.write_text(svg(), encoding="utf-8")
    print(f"written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
