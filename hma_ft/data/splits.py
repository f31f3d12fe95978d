"""Train, val and test of a data set: official splits, else seeded, stratified ones."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from hma_ft.config.schema import DatasetConfig, Selection
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.datasets.base import DatasetBuilder, FileDataset, ImageDataset, Joined, Scan, Subset
from hma_ft.data.datasets.encoded import EncodedDataset
from hma_ft.data.description import describe
from hma_ft.data.draw_rules import NO_RULES, DrawRules
from hma_ft.data.draws import draw_test, stratified
from hma_ft.data.equal_images import EqualImages, equal_across_splits
from hma_ft.data.folds import Fold, draw_fold
from hma_ft.data.group_draws import draw_groups
from hma_ft.data.groups import shared_groups
from hma_ft.data.image_cache import cached
from hma_ft.data.variants import are_new, spread, with_variants
from hma_ft.errors import UserError
from hma_ft.importing import import_class


@dataclass
class Splits:
    """Three disjoint sets of images with the same classes."""

    train: ImageDataset
    val: ImageDataset
    test: ImageDataset
    class_names: list[str]
    seen_in_training: Tensor | None = None  # indices of the training images that steps are made of; None: all
    notes: list[str] = field(default_factory=list)  # what the user should know about how they came about, a line each
    test_groups: list[str] | None = None  # of each test image: its patient, camera or site; None: not known
    trains_on_val: bool = False  # train holds the images of val too, of which figures on val then say nothing

    @property
    def by_name(self) -> dict[str, ImageDataset]:
        """Train, val and test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @cached_property
    def equal_images(self) -> list[EqualImages]:
        """Images that two of the splits share."""
        return equal_across_splits({n: s for n, s in self.by_name.items() if n != "val" or not self.trains_on_val})

    @cached_property
    def description(self) -> dict[str, int | str]:
        """Counts and digests: two runs with equal ones saw the same data. It reads all images that are not indexed."""
        return describe(
            self.by_name, classes=len(self.class_names), seen=self.seen_in_training, equal=self.equal_images
        )


def create_dataset_builder(config: DatasetConfig) -> DatasetBuilder:
    """The source that `dataset.target` names."""
    source_class = import_class("dataset.target", config.target, DatasetBuilder)  # type: ignore[type-abstract]
    return source_class(Path(config.root), config.options)


def load_splits(
    config: DatasetConfig, *, index: ContentIndex | None = None, select: Selection = Selection.best
) -> Splits:
    """Find the data set's images; a split that it lacks is a pure function of (data, split_seed, its fraction).

    `index` remembers digests of image files from one run to the next. `select=last` puts val into train, behind it.
    Raises UserError with a line for each reason why nothing can be trained on the data.
    """
    scan = scan_source(config)
    if index is not None:
        for samples in scan.parts.values():
            samples.use_index(index)
    splits = complete(cached(scan.require(), config), config, scan.rules)
    problems = untrainable(splits.train, fixed_classes=scan.fixed_classes)
    if problems:
        raise UserError("\n".join(problems))
    splits.notes = scan.notes + scan.left_out.in_words() + splits.notes
    splits = made_harder(splits, config)
    return splits if select is Selection.best else with_val_in_train(splits)


def with_val_in_train(splits: Splits) -> Splits:
    """The splits with train and val for training; val keeps its images."""
    train, seen = Joined(splits.train, splits.val), splits.seen_in_training
    if seen is not None:
        seen = torch.cat([seen, len(splits.train) + torch.arange(len(splits.val))])
    notes = [*splits.notes, f"val is trained on ({len(splits.val)} images), and chooses nothing"]
    return replace(splits, train=train, seen_in_training=seen, trains_on_val=True, notes=notes)


def made_harder(splits: Splits, config: DatasetConfig) -> Splits:
    """The splits under the conditions that the configuration asks for. UserError if they don't allow them."""
    splits = replace(splits)
    splits.train, splits.test = with_variants(splits.train, splits.test, config)
    if config.one_batch is not None:
        few = spread(len(splits.train), config.one_batch)
        splits.train = splits.val = splits.test = Subset(splits.train, few)
        splits.test_groups = None
    if config.held_out_classes:
        new = [
            are_new(part.labels, splits.class_names, config.held_out_classes, config.split_seed)
            for part in (splits.train, splits.val)
        ]
        splits.seen_in_training, known = ((~found).nonzero().flatten() for found in new)
        splits.val = Subset(splits.val, known)
    for name, samples in splits.by_name.items():
        if len(samples) == 0:
            raise UserError(f"the {name} split of {config.name} in {config.root} is empty")
        if samples.class_names != splits.class_names:
            raise UserError(f"the {name} split of {config.name} in {config.root} has other classes than train")
    return splits


def scan_source(config: DatasetConfig) -> Scan:
    """What the source finds, its files to be decoded as the configuration says."""
    scan = create_dataset_builder(config).scan()
    for samples in scan.parts.values():
        if isinstance(samples, FileDataset | EncodedDataset):
            samples.upright = config.exif_orientation
    return scan


def complete(parts: dict[str, ImageDataset], config: DatasetConfig, rules: DrawRules = NO_RULES) -> Splits:
    """Draw the splits that are missing from train: test first, so that val_fraction does not move it.

    Raises UserError if train is too small for it, or two splits share a group.
    """
    shared = shared_groups(parts, rules.groups)
    if shared:
        raise UserError("\n".join(shared))
    train, notes, groups = parts["train"], [], rules.numbers("train")
    if "test" in parts:
        if rules.fold is not None:
            raise UserError("dataset.options.fold is for images without a test split: move that one away, or set null")
        test, test_groups = parts["test"], rules.of_images("test")
    else:
        kept, drawn = _drawn_test(train.labels, groups, config, rules.fold)
        test_groups = rules.of_images("train", drawn)
        train, test, groups = Subset(train, kept), Subset(train, drawn), None if groups is None else groups[kept]
        notes.append(_how_drawn(config, rules, own_val="val" in parts))
    if "val" in parts:
        val = parts["val"]
    elif groups is None:
        kept, drawn = stratified(train.labels, config.val_fraction, config.split_seed)
        train, val = Subset(train, kept), Subset(train, drawn)
    else:
        kept, drawn = draw_groups(train.labels, groups, config.val_fraction, config.split_seed, what="val")
        train, val = Subset(train, kept), Subset(train, drawn)
    return Splits(train, val, test, train.class_names, notes=notes, test_groups=test_groups)


def _drawn_test(
    labels: Tensor, groups: Tensor | None, config: DatasetConfig, fold: Fold | None
) -> tuple[Tensor, Tensor]:
    """Indices of train and test."""
    if fold is not None:
        return draw_fold(labels, fold, config.split_seed, groups)
    if groups is not None:
        return draw_groups(labels, groups, config.test_fraction, config.split_seed, what="test")
    return draw_test(labels, config.test_fraction, config.split_seed)


def _how_drawn(config: DatasetConfig, rules: DrawRules, *, own_val: bool) -> str:
    """A line on the test split that was drawn."""
    own = ", and val is taken as it is" if own_val else ""
    whole = f", by whole groups ({len(set(rules.groups['train']))})" if "train" in rules.groups else ""
    if rules.fold is not None:
        by = f"dataset.split_seed={config.split_seed}{whole}{own}"
        return f"fold {rules.fold.number} of {rules.fold.count} is the test split, drawn by {by}"
    return (
        f"there is no test split: {config.test_fraction:.0%} of the training images are drawn for it by "
        f"dataset.split_seed={config.split_seed}{whole}{own}"
    )


def untrainable(train: ImageDataset, *, fixed_classes: bool = False) -> list[str]:
    """Why no classifier can be trained on these images, a line each. `fixed_classes`: some may lack images."""
    counts = train.labels.bincount(minlength=len(train.class_names)).tolist()
    present = [name for name, count in zip(train.class_names, counts, strict=True) if count]
    if len(present) < 2:
        which = f"one class only, {present[0]}" if present else "no classes"
        return [f"train has {which}: a classifier needs two"]
    absent = [name for name, count in zip(train.class_names, counts, strict=True) if not count]
    if absent and not fixed_classes:
        more = f" and {len(absent) - 6} more classes" if len(absent) > 6 else ""
        return [f"train has no images of {', '.join(absent[:6])}{more}: add some, or take the class out"]
    return []
