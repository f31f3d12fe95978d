"""Whole groups of images dealt to parts of given shares, so that each part has its share of every class."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from hma_ft.errors import UserError
from hma_ft.seeds import derive_seed


def deal_groups(labels: Tensor, groups: Tensor, shares: Sequence[float], seed: int, *, what: str) -> Tensor:
    """The part of each image, int64 [N], for labels [N] and group numbers [N]; -1: in none.

    A group goes where it brings classes and sizes nearest to `shares`, the larger ones first, in powers of two; those
    of like size in an order that `seed` draws. The only group of a class is in no part: it must stay in train. `what`
    names the draw. Raises UserError if a part would be empty.
    """
    members = _members(groups)
    alone = _alone(labels, groups)
    free = [group for group in _order(members, derive_seed(what, seed)) if group not in alone]
    if len(free) < len(shares):
        raise UserError(
            f"{what} can't be drawn in whole groups: {len(shares)} are needed, and {len(free)} can be moved, as the "
            "only one of a class stays in train; give images of more groups"
        )
    fill = _Fill(labels, free, members, np.asarray(shares, dtype=float))
    for group in free:
        fill.put(group, int(np.argmin(fill.change(group))))
    for part in set(range(len(shares))) - set(fill.part.values()):  # the shares are finer than the groups
        sizes = Counter(fill.part.values())
        movable = [group for group in free if sizes[fill.part[group]] > 1]
        fill.put(min(movable, key=lambda group: float(fill.change(group)[part])), part)
    parts = torch.full((len(labels),), -1)
    for group, part in fill.part.items():
        parts[members[group]] = part
    return parts


def draw_groups(labels: Tensor, groups: Tensor, fraction: float, seed: int, *, what: str) -> tuple[Tensor, Tensor]:
    """Sorted indices of what stays and what is drawn: about `fraction` of each class, in whole groups.

    Raises UserError if there are too few groups.
    """
    drawn = deal_groups(labels, groups, [1 - fraction, fraction], seed, what=what) == 1
    return (~drawn).nonzero().flatten(), drawn.nonzero().flatten()


class _Fill:
    """How much of each class, and of all images, every part has and should have."""

    def __init__(self, labels: Tensor, free: Sequence[int], members: Sequence[Tensor], shares: np.ndarray) -> None:
        classes = int(labels.max()) + 1
        self.counts = {}  # classes of a group, and how many images of each; the last one stands for all images
        total = np.zeros(classes + 1)
        for group in free:
            own, counts = np.unique(labels[members[group]].numpy(), return_counts=True)
            self.counts[group] = np.append(own, classes), np.append(counts, counts.sum()).astype(float)
            total[self.counts[group][0]] += self.counts[group][1]
        self.target = shares[:, None] / shares.sum() * total
        self.weight = 1 / np.maximum(total, 1) ** 2
        self.filled = np.zeros_like(self.target)
        self.part: dict[int, int] = {}

    def change(self, group: int) -> np.ndarray:
        """By how much the squared distance from the targets grows in each part [P] that takes the group."""
        own, counts = self.counts[group]
        missing = self.target[:, own] - self.filled[:, own]
        return ((counts * (counts - 2 * missing)) * self.weight[own]).sum(axis=1)

    def put(self, group: int, part: int) -> None:
        """Give the group to a part, away from the one that has it."""
        own, counts = self.counts[group]
        if group in self.part:
            self.filled[self.part[group], own] -= counts
        self.filled[part, own] += counts
        self.part[group] = part


def _members(groups: Tensor) -> list[Tensor]:
    """Indices of the images of each group."""
    order = torch.argsort(groups, stable=True)
    ends = [0, *groups.bincount().cumsum(0).tolist()]
    return [order[start:end] for start, end in pairwise(ends)]


def _order(members: Sequence[Tensor], seed: int) -> list[int]:
    """Groups by size, the largest power of two first, in an order of chance within each."""
    shuffled = torch.randperm(len(members), generator=torch.Generator().manual_seed(seed)).tolist()
    present = [group for group in shuffled if len(members[group])]
    return sorted(present, key=lambda group: -len(members[group]).bit_length())


def _alone(labels: Tensor, groups: Tensor) -> set[int]:
    """Groups that are the only one with images of some class."""
    pairs = torch.stack([labels, groups], dim=1).unique(dim=0)
    rare = pairs[:, 0].bincount() == 1
    return set(pairs[rare[pairs[:, 0]], 1].tolist())
