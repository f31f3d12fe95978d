"""How the splits that a data set lacks are to be drawn from its training images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from hma_ft.data.folds import Fold


@dataclass(frozen=True)
class DrawRules:
    """What must stay together, and which fold is test."""

    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)  # split -> group of each image
    fold: Fold | None = None

    def numbers(self, split: str) -> Tensor | None:
        """A number for each image's group, int64 [N], in the order of the groups' names; None where there are none."""
        if split not in self.groups:
            return None
        return torch.from_numpy(np.unique(np.asarray(self.groups[split], dtype=str), return_inverse=True)[1])

    def of_images(self, split: str, indices: Tensor | None = None) -> list[str] | None:
        """The group of each image of a split, or of those at `indices` [M]; None where there are no groups."""
        if split not in self.groups:
            return None
        found = self.groups[split]
        return list(found) if indices is None else [found[index] for index in indices.tolist()]


NO_RULES = DrawRules()
