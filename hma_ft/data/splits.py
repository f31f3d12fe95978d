"""Train, val and test of a data set: official splits, else a seeded, stratified val split."""

import importlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.conditions import are_new, with_conditions
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.description import describe
from hma_ft.data.equal_images import EqualImages, equal_across_splits
from hma_ft.data.picture_cache import cached
from hma_ft.data.sources.base import Samples, Source, Subset
from hma_ft.errors import UserError


@dataclass
class Splits:
    """Three disjoint sets of pictures with the same classes."""

    train: Samples
    val: Samples
    test: Samples
    class_names: list[str]
    taught: Tensor | None = None  # indices of the training pictures that steps are made of; None: all

    @property
    def by_name(self) -> dict[str, Samples]:
        """Train, val and test."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @cached_property
    def equal_images(self) -> list[EqualImages]:
        """Images that two of the splits share."""
        return equal_across_splits(self.by_name)

    @cached_property
    def description(self) -> dict[str, int | str]:
        """Counts and digests: two runs with equal ones saw the same data. It reads all images that are not indexed."""
        return describe(self.by_name, classes=len(self.class_names), seen=self.taught, equal=self.equal_images)


def create_source(config: DatasetConfig) -> Source:
    """The source that `dataset.target` names."""
    module_name, _, class_name = config.target.rpartition(".")
    try:
        source_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"dataset.target={config.target} can't be imported ({error}): name a class by module.Class"
        ) from error
    return source_class(Path(config.root), config.options)


def load_splits(config: DatasetConfig, *, index: ContentIndex | None = None) -> Splits:
    """Find the data set's images; a val split that it lacks is a pure function of (data, split_seed, val_fraction).

    `index` remembers digests of image files from one run to the next.
    """
    found = create_source(config).splits()
    if index is not None:
        for samples in found.values():
            samples.use_index(index)
    parts = cached(found, config)
    train, test = parts["train"], parts["test"]
    if "val" in parts:
        val = parts["val"]
    else:
        train_indices, val_indices = stratified(train.labels, config.val_fraction, config.split_seed)
        train, val = Subset(train, train_indices), Subset(train, val_indices)
    train, test = with_conditions(train, test, config)
    splits = Splits(train, val, test, train.class_names)
    if config.new_classes:
        new = [are_new(part.labels, train.class_names, config.new_classes, config.split_seed) for part in (train, val)]
        splits.taught, known = ((~found).nonzero().flatten() for found in new)
        splits.val = Subset(val, known)
    for name, samples in splits.by_name.items():
        if len(samples) == 0:
            raise UserError(f"the {name} split of {config.name} in {config.root} is empty")
        if samples.class_names != splits.class_names:
            raise UserError(f"the {name} split of {config.name} in {config.root} has other classes than train")
    return splits


def stratified(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of train and val; every class keeps its share, and at least one picture in train."""
    from sklearn.model_selection import StratifiedShuffleSplit  # a second of import, for data sets without a val split

    counts = labels.bincount()
    rare = (counts[labels] < 2).numpy()
    indices = np.arange(len(labels))
    common = indices[~rare]
    count = max(round(fraction * len(common)), int((counts >= 2).sum()))
    splitter = StratifiedShuffleSplit(
        n_splits=1, test_size=min(count, len(common) - int((counts >= 2).sum())), random_state=seed
    )
    train, val = next(splitter.split(common, labels.numpy()[common]))
    kept = np.sort(np.concatenate([common[train], indices[rare]]))
    return torch.from_numpy(kept), torch.from_numpy(np.sort(common[val]))
