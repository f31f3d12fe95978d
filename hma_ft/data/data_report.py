"""What is in a data set, and what is wrong with it: the content of `prepare.json`."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.equal_images import EqualImages, equal_across_splits, in_one_line
from hma_ft.data.image_files import LeftOut
from hma_ft.data.inspection import ImageFacts
from hma_ft.data.orientation import UPRIGHT
from hma_ft.names import counted, printable

UNEQUAL_RATIO = 10  # between the training images of the largest and the smallest class
EXTREME_RATIO = 10  # between the sides of an image
FEW_IMAGES = 5  # training images of a class
_NAMED = 3  # images or classes that a line names


@dataclass(frozen=True)
class SplitSummary:
    """Size of a split; each range is (least, median, most)."""

    images: int
    drawn: bool  # from train, and not as it lies on the disk
    per_class: tuple[int, int, int]
    height: tuple[int, int, int] | None  # pixels, of what can be decoded
    width: tuple[int, int, int] | None


@dataclass(frozen=True)
class ImageName:
    """An image of a split."""

    file: str
    split: str
    label: str  # class name


@dataclass
class DataReport:
    """All that `task=prepare` finds out. `prepare.json` has these keys, plus can_train."""

    dataset: str
    root: str
    layout: str  # in words
    splits: dict[str, SplitSummary]
    classes: dict[str, dict[str, int]]  # class name -> split -> images
    unreadable: list[dict[str, str]]  # file, split, label, reason
    suffixes_left_out: dict[str, int]  # "" is none
    system_files_skipped: dict[str, int]  # name -> number
    broken_links: list[str]
    equal_across_splits: list[EqualImages]
    repeats_within_splits: dict[str, int]  # images that equal an earlier one of their split
    equal_images: list[list[ImageName]]  # each group of images with the same content
    label_conflicts: int  # of these groups, those with several classes
    pixel_kinds: dict[str, int]  # images by RGB, grey, palette, with alpha, 16-bit grey, ...
    exif_rotated: int  # images with an orientation other than upright
    exif_orientation: bool  # whether runs turn them
    extreme_shapes: list[dict[str, Any]]  # file, height, width of images at least ten times as long as wide
    notes: list[str]  # a line each
    warnings: list[str]  # a line each
    reasons: list[str]  # why nothing can be trained, a line each

    @property
    def can_train(self) -> bool:
        """Whether a run would come to its end."""
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"can_train": self.can_train} | asdict(self)


def report(
    splits: Mapping[str, ImageDataset],
    facts: Mapping[str, Sequence[ImageFacts]],
    *,
    dataset: str,
    root: str,
    layout: str,
    drawn: set[str],
    exif_orientation: bool,
    left_out: LeftOut,
    notes: list[str],
    reasons: list[str],
) -> DataReport:
    """Put together what was found; `reasons` are those that are known without reading an image."""
    all_facts = [fact for name in splits for fact in facts[name]]
    groups = _equal_groups(splits, facts)
    return _with_lines(
        DataReport(
            dataset=dataset,
            root=root,
            layout=layout,
            splits={name: _summary(samples, facts[name], name in drawn) for name, samples in splits.items()},
            classes=_class_counts(splits),
            unreadable=[
                asdict(image) | {"reason": str(fact.error)}
                for image, fact in _named(splits, facts, lambda fact: fact.error is not None)
            ],
            suffixes_left_out=dict(left_out.suffixes.most_common()),
            system_files_skipped={printable(name): count for name, count in left_out.system.most_common()},
            broken_links=[printable(path) for path in left_out.broken],
            equal_across_splits=equal_across_splits(splits) if len(splits) == 3 else [],
            repeats_within_splits={name: _repeats(groups, name) for name in splits},
            equal_images=groups,
            label_conflicts=sum(len({image.label for image in group}) > 1 for group in groups),
            pixel_kinds=dict(Counter(fact.kind for fact in all_facts if fact.error is None).most_common()),
            exif_rotated=sum(fact.orientation != UPRIGHT for fact in all_facts),
            exif_orientation=exif_orientation,
            extreme_shapes=[
                {"file": image.file, "height": fact.height, "width": fact.width}
                for image, fact in _named(splits, facts, _is_extreme)
            ],
            notes=notes,
            warnings=[],
            reasons=reasons,
        )
    )


def _name(samples: ImageDataset, split: str, index: int) -> ImageName:
    return ImageName(samples.sample_id(index), split, samples.class_names[int(samples.labels[index])])


def _named(
    splits: Mapping[str, ImageDataset], facts: Mapping[str, Sequence[ImageFacts]], wanted: Callable[[ImageFacts], bool]
) -> Iterator[tuple[ImageName, ImageFacts]]:
    """The images whose facts are wanted, with their names: a data set may have millions of others."""
    for split, samples in splits.items():
        for index, fact in enumerate(facts[split]):
            if wanted(fact):
                yield _name(samples, split, index), fact


def _is_extreme(fact: ImageFacts) -> bool:
    return max(fact.height, fact.width) >= EXTREME_RATIO * max(1, min(fact.height, fact.width))


def _summary(samples: ImageDataset, facts: Sequence[ImageFacts], drawn: bool) -> SplitSummary:
    counts = samples.labels.bincount(minlength=len(samples.class_names)).tolist()
    decoded = [fact for fact in facts if fact.error is None]
    height = _range([fact.height for fact in decoded]) if decoded else None
    width = _range([fact.width for fact in decoded]) if decoded else None
    return SplitSummary(len(samples), drawn, _range(counts), height, width)


def _range(values: Sequence[int]) -> tuple[int, int, int]:
    return min(values), int(statistics.median(values)), max(values)


def _class_counts(splits: Mapping[str, ImageDataset]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for split, samples in splits.items():
        found = samples.labels.bincount(minlength=len(samples.class_names)).tolist()
        for name, count in zip(samples.class_names, found, strict=True):
            counts.setdefault(name, {})[split] = count
    return counts


def _equal_groups(
    splits: Mapping[str, ImageDataset], facts: Mapping[str, Sequence[ImageFacts]]
) -> list[list[ImageName]]:
    """Groups of at least two images with the same content, over all splits; those that can be decoded."""
    digests = {split: samples.raw_digests() for split, samples in splits.items()}
    numbers = Counter(digest for own in digests.values() for digest in own)
    groups: dict[str, list[ImageName]] = {}
    for split, own in digests.items():
        for index, digest in enumerate(own):
            if numbers[digest] > 1 and facts[split][index].error is None:
                groups.setdefault(digest, []).append(_name(splits[split], split, index))
    return [group for group in groups.values() if len(group) > 1]


def _repeats(groups: Sequence[Sequence[ImageName]], split: str) -> int:
    """Images of a split that equal an earlier one of it."""
    return sum(max(0, sum(image.split == split for image in group) - 1) for group in groups)


def _with_lines(found: DataReport) -> DataReport:
    """Say in words what should be seen to, and what makes training impossible."""
    if found.unreadable:
        unreadable = counted(len(found.unreadable), "image")
        found.reasons.append(f"{unreadable} can't be decoded: replace or remove what is named above")
    found.warnings += [*_on_equal_images(found), *_on_classes(found), *_on_pixels(found)]
    return found


def _on_equal_images(found: DataReport) -> list[str]:
    lines = []
    across = in_one_line(found.equal_across_splits, {name: split.images for name, split in found.splits.items()})
    if across is not None:
        lines.append(across)
    for split, count in found.repeats_within_splits.items():
        if count:
            groups = [[i.file for i in group if i.split == split] for group in found.equal_images]
            example = next(files for files in groups if len(files) > 1)
            lines.append(f"{counted(count, 'image')} of {split} repeated within it (such as {' = '.join(example[:2])})")
    conflicts = [group for group in found.equal_images if len({image.label for image in group}) > 1]
    if conflicts:
        labels = ", ".join(f"{image.file} is {image.label}" for image in conflicts[0][:_NAMED])
        lines.append(f"{counted(len(conflicts), 'image')} in several classes at once (such as {labels})")
    return lines


def _on_classes(found: DataReport) -> list[str]:
    lines = []
    for split in ("val", "test"):
        lacking = [name for name, counts in found.classes.items() if split in counts and not counts[split]]
        if lacking:
            lines.append(f"{split} has no images of {_listed(lacking)}: nothing can be said about them there")
    train = {name: counts["train"] for name, counts in found.classes.items() if counts.get("train")}
    few = [f"{name} ({count})" for name, count in train.items() if count < FEW_IMAGES]
    if few:
        lines.append(f"fewer than {FEW_IMAGES} training images: {_listed(few)}")
    if train:
        least, most = min(train, key=train.__getitem__), max(train, key=train.__getitem__)
        if train[most] >= UNEQUAL_RATIO * train[least]:
            lines.append(
                f"the classes are very unequal: {train[most]} training images of {most}, {train[least]} of {least} "
                f"({train[most] / train[least]:.0f} to 1): read the mean accuracy of classes beside top-1"
            )
    return lines


def _on_pixels(found: DataReport) -> list[str]:
    lines = []
    if found.extreme_shapes:
        count, example = len(found.extreme_shapes), found.extreme_shapes[0]
        lines.append(
            f"{counted(count, 'image')} at least {EXTREME_RATIO} times as long as wide: the centre crop shows little "
            f"of such a strip ({example['file']}, {example['width']} x {example['height']})"
        )
    if found.exif_rotated and not found.exif_orientation:
        lines.append(
            f"{counted(found.exif_rotated, 'image')} with an EXIF orientation, which dataset.exif_orientation=false "
            "ignores"
        )
    return lines


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
