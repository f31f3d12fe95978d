"""Splits that a data set lacks, drawn from its training images."""

import numpy as np
import torch
from torch import Tensor

from hma_ft.errors import UserError
from hma_ft.seeds import derive_seed


def draw_test(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of train and test for labels [N]: `fraction` of each class, rounded, and at least one image.

    A class keeps at least one image in train, so one of a single image has none in test. What is drawn of a class
    depends on that class alone. Raises UserError if no class has two images.
    """
    drawn = []
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        generator = torch.Generator().manual_seed(derive_seed("test", seed, label))
        drawn.append(members[torch.randperm(len(members), generator=generator)[:count]])
    test = torch.zeros(len(labels), dtype=torch.bool)
    test[torch.cat(drawn)] = True
    if not test.any():
        raise UserError(_too_few("test"))
    return (~test).nonzero().flatten(), test.nonzero().flatten()


def stratified(labels: Tensor, fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Sorted indices of train and val; every class keeps its share, and at least one image in train.

    Raises UserError if no class has two images.
    """
    from sklearn.model_selection import StratifiedShuffleSplit  # a second of import, for data sets without a val split

    counts = labels.bincount()
    rare = (counts[labels] < 2).numpy()
    indices = np.arange(len(labels))
    common = indices[~rare]
    if len(common) == 0:
        raise UserError(_too_few("val"))
    count = max(round(fraction * len(common)), int((counts >= 2).sum()))
    splitter = StratifiedShuffleSplit(
        n_splits=1, test_size=min(count, len(common) - int((counts >= 2).sum())), random_state=seed
    )
    train, val = next(splitter.split(common, labels.numpy()[common]))
    kept = np.sort(np.concatenate([common[train], indices[rare]]))
    return torch.from_numpy(kept), torch.from_numpy(np.sort(common[val]))


def _too_few(split: str) -> str:
    return (
        f"{split} can't be drawn from train, where no class has two images left: "
        f"add images, or give the data set a {split} split of its own"
    )
