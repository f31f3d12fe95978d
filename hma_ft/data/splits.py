"""Train, val and test of a data set: official splits, else a seeded, stratified val split."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.conditions import are_new, with_conditions
from hma_ft.data.picture_cache import cached
from hma_ft.data.sources.base import Samples, Source, Subset
from hma_ft.errors import UserError
from hma_ft.importing import import_class


@dataclass
class Splits:
    """Three disjoint sets of pictures with the same classes."""

    train: Samples
    val: Samples
    test: Samples
    class_names: list[str]
    taught: Tensor | None = None  # indices of the training pictures that steps are made of; None: all

    @property
    def description(self) -> dict[str, int | str]:
        """Counts, and digests over each split's file names and labels: two runs with equal ones saw the same data."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        counts: dict[str, int | str] = {name: len(samples) for name, samples in parts.items()}
        digests = {f"{name}_digest": _digest(samples) for name, samples in parts.items()}
        if self.taught is not None:
            counts["taught"] = len(self.taught)
            digests["taught_digest"] = hashlib.sha256(self.taught.numpy().tobytes()).hexdigest()[:16]
        return counts | {"classes": len(self.class_names)} | digests


def create_source(config: DatasetConfig) -> Source:
    """The source that `dataset.target` names."""
    source_class = import_class("dataset.target", config.target, Source)  # type: ignore[type-abstract]
    return source_class(Path(config.root), config.options)


def load_splits(config: DatasetConfig) -> Splits:
    """Read the data set's index; a val split that it lacks is a pure function of (data, split_seed, val_fraction)."""
    source = create_source(config)
    parts = cached(source.splits(), config)
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
    for name, samples in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
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


def _digest(samples: Samples) -> str:
    digest = hashlib.sha256(samples.labels.numpy().tobytes())
    for index in range(len(samples)):
        digest.update(f"{samples.key(index)}\n".encode())
    return digest.hexdigest()[:16]
