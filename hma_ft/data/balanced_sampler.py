"""Steps in which every class has its equal share, whatever its number of images: a pure function of (seed, step)."""

import torch
from torch import Tensor

from hma_ft.seeds import derive_seed

REPEAT = 2**32  # added to an epoch's number for each repeat in it, so that a repeated image has another view


class BalancedSampler:
    """Epochs of as many images as there are, equally many of each class, up to one.

    A small class is repeated, whole pass after pass; of a large one another part is drawn in each epoch.
    """

    def __init__(self, labels: Tensor, seed: int) -> None:
        """Labels [N] of the samples that steps are made of."""
        self.count, self.seed = len(labels), seed
        self.members = [(labels == label).nonzero().flatten() for label in labels.unique().tolist()]
        self._epochs: dict[int, list[tuple[int, int]]] = {}

    def step_batch(self, batch_size: int, step: int) -> list[tuple[int, int]]:
        """(view, place) of the images of a step; the epochs follow each other in an endless stream."""
        positions = range(step * batch_size, (step + 1) * batch_size)
        return [self._epoch(position // self.count)[position % self.count] for position in positions]

    def _epoch(self, epoch: int) -> list[tuple[int, int]]:
        if epoch not in self._epochs:
            self._epochs = {number: kept for number, kept in self._epochs.items() if number == epoch - 1}
            self._epochs[epoch] = self._drawn(epoch)
        return self._epochs[epoch]

    def _drawn(self, epoch: int) -> list[tuple[int, int]]:
        generator = torch.Generator().manual_seed(derive_seed("balanced order", self.seed, epoch))
        classes = len(self.members)
        larger = set(torch.randperm(classes, generator=generator)[: self.count % classes].tolist())
        views = []
        for number, members in enumerate(self.members):
            quota = self.count // classes + (number in larger)
            for repeat in range(-(-quota // len(members))):
                left = quota - repeat * len(members)
                chosen = members[torch.randperm(len(members), generator=generator)[:left]]
                views += [(epoch + repeat * REPEAT, place) for place in chosen.tolist()]
        return [views[place] for place in torch.randperm(len(views), generator=generator).tolist()]
