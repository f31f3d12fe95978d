"""Which samples make up a step: a pure function of (seed, step)."""

from functools import lru_cache

import torch

from hma_ft.seeds import derive_seed


@lru_cache(maxsize=4)
def epoch_order(num_samples: int, seed: int, epoch: int) -> torch.Tensor:
    """The permutation of an epoch: every sample once."""
    generator = torch.Generator().manual_seed(derive_seed("order", seed, epoch))
    return torch.randperm(num_samples, generator=generator)


def step_batch(num_samples: int, batch_size: int, seed: int, step: int) -> list[tuple[int, int]]:
    """(epoch, sample) of the images of a step.

    The permutations of the epochs follow each other in an endless stream, which is cut into batches: a batch may
    cross the end of an epoch, and a data set may be smaller than a batch.
    """
    positions = range(step * batch_size, (step + 1) * batch_size)
    return [
        (position // num_samples, int(epoch_order(num_samples, seed, position // num_samples)[position % num_samples]))
        for position in positions
    ]
