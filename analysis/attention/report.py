"""All figures and numbers of one run, into a folder."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from analysis.attention.examples import Examples, attention_alone, between_datapoints, choose
from analysis.attention.gallery import Entry, galleries, spread
from analysis.attention.heatmaps import between_png, cut, memory_png
from analysis.attention.images import agreement_png, gallery_png, rollout_png, shares_png
from analysis.attention.page import Section, write_page
from analysis.attention.rollout import rollout
from analysis.attention.statistics import Estimate, Reading, column_classes, measure
from analysis.trained import Trained
from hma_ft.errors import UserError
from hma_ft.hma.attention_map import REAL, SUPPORT, SYNTHETIC

MEMORIES = {REAL: "the real memory", SYNTHETIC: "the synthetic memory", SUPPORT: "the support set"}


def write_report(trained: Trained, folder: Path, *, classes: list[str] | None, images: int, top: int) -> None:
    """numbers.json, the figures and index.html; UserError for a run without memory or an unknown class."""
    _ = trained.head  # complains before the test set is read
    examples = choose(trained, classes, images)
    readings = measure(trained)
    folder.mkdir(parents=True, exist_ok=True)
    found = galleries(trained, examples, top)
    sections = [
        _shares(folder, readings),
        _agreement(folder, readings),
        *_between(trained, folder, examples),
        *_memories(trained, folder, examples, readings),
        *_galleries(trained, folder, found),
        _rollout(trained, folder, examples),
    ]
    _write_numbers(trained, folder, examples, readings, found)
    write_page(folder / "index.html", trained, readings, [section for section in sections if section is not None])


def numbers(readings: list[Reading]) -> list[dict[str, Any]]:
    """The readings as plain values, without the tables by class."""
    rows = []
    for reading in readings:
        row = {name: value for name, value in vars(reading).items() if not name.endswith("by_class")}
        row["share"] = reading.share
        row["agreement"] = {
            name: {kind: _without_nan(estimate) for kind, estimate in kinds.items()}
            for name, kinds in reading.agreement.items()
        }
        rows.append(row)
    return rows


def _without_nan(estimate: Estimate) -> dict[str, float | None]:
    """JSON has no NaN, which is the interval of a single image."""
    return {name: value if math.isfinite(value) else None for name, value in estimate._asdict().items()}


def _write_numbers(
    trained: Trained, folder: Path, examples: Examples, readings: list[Reading], found: dict[str, list[Entry]]
) -> None:
    content = {
        "run": str(trained.directory),
        "method": trained.config.method.name,
        "dataset": trained.config.dataset.name,
        "headline_inference": trained.modes[0],
        "test_images": len(trained.splits.test),
        "class_names": trained.class_names,
        "examples": {"classes": examples.classes, "ids": examples.ids.tolist()},
        "readings": numbers(readings),
        "galleries": {source: [asdict(entry) for entry in entries] for source, entries in found.items()},
    }
    (folder / "numbers.json").write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def _shares(folder: Path, readings: list[Reading]) -> Section:
    shares_png(folder / "shares.png", readings)
    return Section(
        "shares.png",
        "Where the attention goes",
        "Mean over the test set. The first block reads the image itself and the real memory; the second the image, "
        "its context (nothing, the batch or the support set) and the synthetic memory.",
    )


def _agreement(folder: Path, readings: list[Reading]) -> Section | None:
    if not any(reading.agreement for reading in readings):
        return None
    agreement_png(folder / "agreement.png", readings)
    return Section(
        "agreement.png",
        "Do images read rows of their own class?",
        "Over the test set: the share of the image's class among the K rows read most (topK) and in the attention "
        "that the source gets (mass). Black lines: what reading all rows evenly gives. Thin bars: 95 % intervals over "
        "test images.",
    )


def _between(trained: Trained, folder: Path, examples: Examples) -> list[Section]:
    between = between_datapoints(trained, examples)
    if between is None:
        return []
    between_png(folder / "between.png", between, examples, trained.class_names)
    text = (
        "The example images as one batch of inference mode batch, each row a reader: sorted by class above, the same "
        "images shuffled below. A row sums to 1 together with what the synthetic memory gets."
    )
    return [Section("between.png", "Attention between datapoints", text)]


def _memories(trained: Trained, folder: Path, examples: Examples, readings: list[Reading]) -> list[Section]:
    sections = []
    for source, what in MEMORIES.items():
        reading = next(
            (reading for reading in readings if reading.source == source and reading.by_class is not None), None
        )
        if reading is None or reading.by_class is None or reading.rows_by_class is None:
            continue
        mode = trained.modes[0] if reading.mode == "every" else reading.mode
        attention = attention_alone(trained, examples, mode)[reading.block]
        classes = column_classes(trained.head, source)
        row_classes = torch.where(classes.sum(1) > 0, classes.argmax(1), -1).cpu()
        name = f"{source}.png"
        memory_png(
            folder / name,
            what=what,
            weights=attention.of(source).mean(0).cpu(),
            row_classes=row_classes,
            examples=examples,
            by_class=reading.by_class,
            evenly=reading.rows_by_class,
            class_names=trained.class_names,
        )
        text = f"Inference mode: {reading.mode}. The diagonal below is positive where images read rows of their class."
        sections.append(Section(name, f"Attention to {what}", text))
    return sections


def _galleries(trained: Trained, folder: Path, found: dict[str, list[Entry]]) -> list[Section]:
    sections, splits = [], trained.splits
    for source, entries in found.items():
        if not any(entry.read for entry in entries):
            continue
        name = f"gallery_{source}.png"
        gallery_png(folder / name, entries, test=splits.test, train=splits.train, class_names=trained.class_names)
        text = f"For each test image, the images of {MEMORIES[source]} that it read most (mean of heads)."
        sections.append(Section(name, f"What was read in {MEMORIES[source]}", text))
    return sections


def _rollout(trained: Trained, folder: Path, examples: Examples) -> Section:
    """UserErrors become a sentence: not every backbone has a rollout."""
    places = spread(examples)
    test, transform = trained.splits.test, trained.transform
    images = torch.stack([transform(test.load(int(examples.ids[place]))) for place in places])
    backbone = trained.method.backbone
    try:
        patches, rest = rollout(backbone, images.to(backbone.mean.device))
    except UserError as error:
        return Section(None, "Attention rollout", str(error))
    captions = [cut(trained.class_names[int(examples.labels[place])]) for place in places]
    rollout_png(folder / "rollout.png", images, patches.cpu(), captions)
    text = (
        "How much of each patch reaches the pooled feature of the backbone, by attention alone (Abnar and Zuidema, "
        f"2020), over its mean. All patches together get {1 - float(rest.mean()):.1%} here; class and other tokens the "
        "rest."
    )
    return Section("rollout.png", "Attention rollout over the image", text)
