"""The page that `task=prepare` prints."""

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hma_ft.data.data_report import DataReport, SplitSummary
from hma_ft.names import counted

_CLASSES_SHOWN = 20  # of more, the smallest and the largest


def show(found: DataReport, path: Path) -> None:
    """Print tables of splits and classes, a line for each finding, and whether a run can train on the data."""
    console = Console(highlight=False)
    layout = found.layout or "no known layout"
    console.print(f"{found.dataset} below {found.root}: {layout}", markup=False, soft_wrap=True)
    if found.splits:
        console.print(_splits_table(found.splits))
        console.print(_classes_table(found))
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.pixel_kinds.items())
    lines = [f"pixels: {kinds}"] if kinds else []
    if found.exif_rotated and found.exif_orientation:
        lines.append(f"{counted(found.exif_rotated, 'image')} turned upright, as the EXIF orientation says")
    lines += found.notes
    lines += [f"unreadable: {image['file']} ({image['reason']})" for image in found.unreadable]
    lines += [f"warning: {line}" for line in found.warnings]
    lines += [f"cannot train: {reason}" for reason in found.reasons]
    lines.append(f"{_verdict(found)} (report: {path})")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _verdict(found: DataReport) -> str:
    if not found.can_train:
        return f"{found.dataset} cannot be trained on"
    if found.warnings:
        return f"{found.dataset} can be trained on; {counted(len(found.warnings), 'warning')}"
    return f"{found.dataset} can be trained on, every image can be read"


def _splits_table(splits: dict[str, SplitSummary]) -> Table:
    table = Table("split", "images", "a class", "height", "width", caption="least, median, most")
    for name, split in splits.items():
        ranges = (split.per_class, split.height, split.width)
        cells = [", ".join(map(str, values)) if values else "" for values in ranges]
        table.add_row(f"{name} (drawn)" if split.drawn else name, str(split.images), *cells)
    return table


def _classes_table(found: DataReport) -> Table:
    """All classes, or the smallest and the largest by their training images."""
    splits = list(found.splits)
    few = len(found.classes) <= _CLASSES_SHOWN
    title = f"{len(found.classes)} classes" + ("" if few else ", those with the fewest and the most training images")
    table = Table("class", *splits, title=title)
    order = sorted(found.classes.items(), key=lambda item: item[1].get("train", 0))
    half = _CLASSES_SHOWN // 2
    shown = found.classes.items() if few else [*order[:half], ("...", {}), *order[-half:]]
    for name, counts in shown:
        table.add_row(Text(name), *(str(counts.get(split, "")) for split in splits))
    return table
