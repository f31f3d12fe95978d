"""Which files below a folder are images: one list of suffixes, one walk, one account of what was left out."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hma_ft.data.image_plugins import AVIF_SUFFIXES, HEIC_SUFFIXES
from hma_ft.names import printable

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".tga"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", *HEIC_SUFFIXES, *AVIF_SUFFIXES),
    }
)
# What operating systems and programs put beside images, in lower case.
_SYSTEM_NAMES = frozenset(
    {
        *("__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin"),
        *("system volume information", "lost+found", "__pycache__"),
    }
)
_SUFFIXES_NAMED = 8  # of those left out; the rest is counted together


@dataclass
class LeftOut:
    """What a walk met and did not take for an image."""

    suffixes: Counter[str] = field(default_factory=Counter)  # files by suffix in lower case; "" is none
    system: Counter[str] = field(default_factory=Counter)  # hidden and system files and folders by name
    broken: list[Path] = field(default_factory=list)  # links to nothing, and what is neither a file nor a folder
    unreadable: list[str] = field(default_factory=list)  # a line on each folder that can't be listed

    def in_words(self) -> list[str]:
        """A line for each kind of what is no image; empty if nothing was left out."""
        lines = []
        if self.suffixes:
            named = [f"{count} {suffix or 'without a suffix'}" for suffix, count in self._most_common()]
            rest = self.suffixes.total() - sum(count for _, count in self._most_common())
            lines.append(f"left out: {', '.join(named)}{f' and {rest} others' if rest else ''}")
        if self.system:
            names = [f"{count} {printable(name)}" for name, count in self.system.most_common(_SUFFIXES_NAMED)]
            lines.append(f"hidden and system files and folders skipped: {', '.join(names)}")
        if self.broken:
            lines.append(f"broken links and special files skipped: {len(self.broken)}, {printable(self.broken[0])}")
        return lines

    def _most_common(self) -> list[tuple[str, int]]:
        return sorted(self.suffixes.items(), key=lambda item: (-item[1], item[0]))[:_SUFFIXES_NAMED]


def images_below(folder: Path, left_out: LeftOut) -> list[Path]:
    """All image files below a folder, sorted by the parts of their paths; `left_out` is told of everything else.

    Linked files and folders are followed. A folder is entered once, by its own name before any link to it, and none
    that holds `folder` is: links can't lead in a circle.
    """
    entered = {_identity(parent) for parent in folder.resolve().parents}
    found: list[Path] = []
    waiting, links = [folder], list[Path]()
    while waiting or links:
        current = waiting.pop() if waiting else links.pop(0)
        if _identity(current) in entered:
            continue
        entered.add(_identity(current))
        for entry in _visible(current, left_out):
            path = Path(entry.path)
            if _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(path)
            elif not _is_file(entry):
                left_out.broken.append(path)
            elif path.suffix.lower() in SUFFIXES:
                found.append(path)
            else:
                left_out.suffixes[printable(path.suffix.lower())] += 1
    return sorted(found)


def folders_in(folder: Path, left_out: LeftOut) -> list[Path]:
    """Visible sub-folders of a folder, linked ones too, sorted."""
    return sorted(Path(entry.path) for entry in _visible(folder, left_out) if _is_folder(entry))


def files_in(folder: Path) -> list[Path]:
    """Image files that lie directly in a folder, sorted."""
    paths = (Path(entry.path) for entry in _visible(folder, LeftOut()) if _is_file(entry))
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES)


def class_name(folder: Path) -> str:
    """Name of a class folder, composed (NFC): a Mac writes é as e and an accent, other systems as one letter."""
    return unicodedata.normalize("NFC", printable(folder.name))


def _visible(folder: Path, left_out: LeftOut) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        left_out.unreadable.append(f"cannot read folder {printable(folder)} ({error.strerror})")
        return
    for entry in listed:
        if entry.name.startswith(".") or entry.name.lower() in _SYSTEM_NAMES:
            left_out.system["._*" if entry.name.startswith("._") else entry.name] += 1  # a Mac's half of each file
        else:
            yield entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
