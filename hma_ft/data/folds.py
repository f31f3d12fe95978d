"""Folds of cross-validation: each image is in the test split of one of k runs."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from hma_ft.config.check_dataset import fold_numbers
from hma_ft.data.group_draws import deal_groups
from hma_ft.errors import UserError
from hma_ft.seeds import derive_seed


@dataclass(frozen=True)
class Fold:
    """Fold `number` (from 1) of `count`, which is the test split."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """The fold that `dataset.options.fold` names; None for none. Raises UserError."""
        if text is None:
            return None
        numbers = fold_numbers(text)
        if numbers is None:
            raise UserError(f"dataset.options.fold={text} must be i/k, fold i of k: 1/5 to 5/5 for five folds")
        return cls(*numbers)


def draw_fold(labels: Tensor, fold: Fold, seed: int, groups: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Sorted indices of train and test for labels [N], and group numbers [N] where groups stay together.

    The folds share no image and are stratified: of each class they have equally many images, up to one; with groups as
    nearly as these allow. A class of a single image, or a single group, is in train in every fold. Raises UserError if
    the fold would be empty.
    """
    folds = _by_images(labels, fold.count, seed) if groups is None else _by_groups(labels, groups, fold.count, seed)
    test = folds == fold.number - 1
    if not test.any():
        raise UserError(
            f"dataset.options.fold={fold.number}/{fold.count}: too few images for {fold.count} folds, as a class keeps "
            "one in train; give fewer folds"
        )
    return (~test).nonzero().flatten(), test.nonzero().flatten()


def _by_images(labels: Tensor, count: int, seed: int) -> Tensor:
    """The fold of each image, int64 [N]; -1: none. A class is dealt on where the one before it ended."""
    folds, start = torch.full((len(labels),), -1), 0
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        if len(members) < 2:
            continue
        generator = torch.Generator().manual_seed(derive_seed("fold", seed, label))
        shuffled = members[torch.randperm(len(members), generator=generator)]
        folds[shuffled] = (start + torch.arange(len(members))) % count
        start += len(members)
    return folds


def _by_groups(labels: Tensor, groups: Tensor, count: int, seed: int) -> Tensor:
    return deal_groups(labels, groups, [1 / count] * count, seed, what="folds")
