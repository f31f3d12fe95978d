"""Which views of which training images make up a step, and the random numbers that each is made with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from hma_ft.data.balanced_sampler import REPEAT, BalancedSampler
from hma_ft.data.batch_sampler import step_batch
from hma_ft.seeds import derive_seed

View = tuple[int, int]  # epoch, sample; an epoch of -1 is an evaluation
EVALUATION = -1


@dataclass(frozen=True)
class ViewSeeds:
    """The seed of each view: a pure function of (seed, epoch, sample), or of an image's content and a view's number.

    With a finite number of views an image has the same ones in every run, whatever its seed, its split and its place.
    """

    seed: int
    finite: int | None = None  # views of an image; None: a new one every epoch
    contents: Sequence[str] = ()  # digests of the samples' images, where views are finite

    def number(self, epoch: int) -> int:
        """Which of the finite views an epoch shows: they follow each other, also where an epoch repeats an image."""
        assert self.finite is not None
        return (epoch % REPEAT + epoch // REPEAT) % self.finite

    def of(self, epoch: int, sample: int) -> int:
        """The seed of a view."""
        if self.finite is None:
            return derive_seed("view", self.seed, epoch, sample)
        return derive_seed("finite view", self.contents[sample], self.number(epoch))


def training_views(
    labels: Tensor,
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    num_steps: int,
    seen_in_training: Tensor | None = None,
    balanced: bool = False,
    rank: int = 0,
    world_size: int = 1,
    micro_batches: int = 1,
) -> Iterator[list[View]]:
    """The views of `micro_batches` batches for each of `num_steps` steps from `start_step` on.

    Steps are made of the samples with the indices `seen_in_training` [N], None: all; with `balanced` of equally many of
    each class. `labels` are those of all samples. `batch_size` is that of a step over all processes. Micro-batches are
    contiguous rows of it, and a process reads its contiguous share of each: the processes together see the
    micro-batches of one process. Raises ValueError unless processes and micro-batches divide it.
    """
    if batch_size % (world_size * micro_batches):
        raise ValueError(f"a batch of {batch_size} can't be dealt to {world_size} x {micro_batches}")
    return _dealt(
        range(len(labels)) if seen_in_training is None else seen_in_training.tolist(),
        BalancedSampler(labels if seen_in_training is None else labels[seen_in_training], seed) if balanced else None,
        batch_size=batch_size,
        seed=seed,
        steps=range(start_step, start_step + num_steps),
        share=(rank, world_size, micro_batches),
    )


def _dealt(
    indices: Sequence[int],
    sampler: BalancedSampler | None,
    *,
    batch_size: int,
    seed: int,
    steps: range,
    share: tuple[int, int, int],
) -> Iterator[list[View]]:
    rank, world_size, micro_batches = share
    size = batch_size // world_size // micro_batches
    for step in steps:
        places = (
            step_batch(len(indices), batch_size, seed, step)
            if sampler is None
            else sampler.step_batch(batch_size, step)
        )
        views = [(epoch, indices[place]) for epoch, place in places]
        for micro in range(micro_batches):
            first = (micro * world_size + rank) * size
            yield views[first : first + size]
