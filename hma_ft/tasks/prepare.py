"""`task=prepare dataset=NAME`: fetch a data set once, open every image, say what is there and what is wrong with it.

On the console, and as JSON in `<runs_dir>/prepare/<dataset>.json` (elsewhere with `output=FILE`), whose keys are
`can_train` and the fields of `hma_ft.data.data_report.DataReport`:

    can_train              whether a run would come to its end
    dataset, root, layout  what was read, and how it is laid out, in words
    splits                 split -> images, drawn (from train), and (least, median, most) of per_class, height, width
    classes                class -> split -> images
    unreadable             file, split, label and reason of every image that can't be decoded
    suffixes_left_out      suffix -> files that were taken for no images
    system_files_skipped   name -> number of hidden and system files and folders
    broken_links           links to nothing, and what is neither a file nor a folder
    equal_across_splits    split, other, count and some names: images of one split that are in another, byte for byte
    repeats_within_splits  split -> images that equal an earlier one of it
    equal_images           every group of equal images, each with file, split and label
    label_conflicts        number of such groups with several labels
    pixel_kinds            RGB, grey, palette, with alpha, CMYK, 16-bit grey, ... -> images
    exif_rotated           images whose EXIF orientation is not upright; exif_orientation: whether runs turn them
    extreme_shapes         file, height and width of images at least ten times as long as wide
    notes, warnings        lines of text
    reasons                lines of text: why nothing can be trained; empty if can_train
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from hma_ft.config.schema import Config, DatasetConfig
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.data_report import DataReport, report
from hma_ft.data.datasets.base import ImageDataset, Scan
from hma_ft.data.inspection import ImageFacts, inspect
from hma_ft.data.prepare import ensure_present
from hma_ft.data.splits import complete, made_harder, scan_source, untrainable
from hma_ft.errors import UserError
from hma_ft.files.atomic import write_atomic
from hma_ft.tasks.prepare_page import show


def prepare(config: Config) -> int:
    """Fetch what is missing, read all images, report. Returns 0 if a run can train on them, else 2."""
    path = _writable(Path(config.output or Path(config.runs_dir) / "prepare" / f"{config.dataset.name}.json"))
    if config.dataset.download:
        ensure_present(config.dataset)
    found = _report(config)
    write_atomic(path, json.dumps(found.as_json(), indent=1, ensure_ascii=False) + "\n")
    show(found, path)
    return 0 if found.can_train else 2


def _report(config: Config) -> DataReport:
    dataset = config.dataset
    scan = scan_source(dataset)
    index = ContentIndex.beside_runs(
        config.runs_dir, verify=True
    )  # a replaced image is noticed, whatever its times say
    for samples in scan.parts.values():
        samples.use_index(index)
    splits, notes, reasons = _splits(scan, dataset)
    return report(
        splits,
        inspect(splits, _progress),
        dataset=dataset.name,
        root=str(Path(dataset.root).absolute()),
        layout=scan.layout,
        drawn=set(splits) - set(scan.parts),
        exif_orientation=dataset.exif_orientation,
        left_out=scan.left_out,
        notes=[*scan.notes, *scan.left_out.in_words(), *notes],
        reasons=reasons,
    )


def _splits(scan: Scan, config: DatasetConfig) -> tuple[dict[str, ImageDataset], list[str], list[str]]:
    """The splits as far as they can be told, notes on them, and the reasons why they can't be trained on."""
    if "train" not in scan.parts:
        return scan.parts, [], scan.problems or [f"{config.name} below {config.root} has no training images"]
    reasons = scan.problems or untrainable(scan.parts["train"], fixed_classes=scan.fixed_classes)
    try:
        splits = complete(scan.parts, config, scan.rules)
    except UserError as error:
        return scan.parts, [], reasons + str(error).splitlines()
    try:
        if not reasons:
            made_harder(splits, config)
    except UserError as error:
        reasons += str(error).splitlines()
    return splits.by_name, splits.notes, reasons


def _progress(chunks: Iterable[list[ImageFacts]], count: int, split: str) -> Iterator[list[ImageFacts]]:
    return iter(track(chunks, f"decoding {split}", total=count, transient=True, console=Console(stderr=True)))


def _writable(path: Path) -> Path:
    """The path, whose folder is made. UserError, before anything is read, if it can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        reason = "is a folder" if path.is_dir() else "permission denied"
        writable = not path.is_dir() and os.access(path.parent, os.W_OK)
    except OSError as error:
        reason, writable = error.strerror or str(error), False
    if not writable:
        raise UserError(f"{path} can't be written ({reason}): give another file by output=FILE")
    return path
