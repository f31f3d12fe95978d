"""Loaders whose numbers don't depend on the number of workers or processes."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hma_ft.data.balanced_sampler import BalancedSampler
from hma_ft.data.batch import Batch
from hma_ft.data.batch_sampler import step_batch
from hma_ft.data.datasets.base import ImageDataset
from hma_ft.errors import UserError
from hma_ft.seeds import derive_seed

Transform = Callable[[Tensor], Tensor]
View = tuple[int, int]  # epoch, sample; an epoch of -1 is an evaluation
EVALUATION = -1


class _Views(Dataset[Batch | str]):
    """Batches by their views. A UserError comes back as its message: the loader would wrap the exception."""

    def __init__(self, samples: ImageDataset, transform: Transform, seed: int) -> None:
        self.samples = samples
        self.transform = transform
        self.seed = seed

    def __getitem__(self, views: Sequence[View]) -> Batch | str:
        try:
            with torch.random.fork_rng(devices=[]):
                images = self._images(views)
        except UserError as error:
            return str(error)
        ids = torch.tensor([index for _, index in views])
        return Batch(images, self.samples.labels[ids], ids)

    def _images(self, views: Sequence[View]) -> Tensor:
        """[B, 3, S, S], the channels of a pixel side by side as the resizing leaves them.

        Each view is put in its place at once: it is still in the processor's cache, and the next one takes its memory.
        """
        first = self._view(*views[0])
        images = torch.empty((len(views), *first.shape), dtype=first.dtype, memory_format=torch.channels_last)
        images[0] = first
        for place, view in enumerate(views[1:], start=1):
            images[place] = self._view(*view)
        return images

    def _view(self, epoch: int, index: int) -> Tensor:
        image = self.samples.load(index)
        if epoch != EVALUATION:
            torch.random.default_generator.manual_seed(derive_seed("view", self.seed, epoch, index))
        return self.transform(image)


def train_loader(
    samples: ImageDataset,
    transform: Transform,
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    num_steps: int,
    num_workers: int,
    seen_in_training: Tensor | None = None,
    balanced: bool = False,
    rank: int = 0,
    world_size: int = 1,
    micro_batches: int = 1,
) -> Iterator[Batch]:
    """`micro_batches` batches for each of `num_steps` steps from `start_step` on.

    Steps are made of the samples with the indices `seen_in_training` [N], None: all; with `balanced` of equally many of
    each class. `batch_size` is that of a step over all processes. Micro-batches are contiguous rows of it, and a
    process reads its contiguous share of each: the processes together see the micro-batches of one process. Raises
    ValueError unless processes and micro-batches divide it.
    """
    if batch_size % (world_size * micro_batches):
        raise ValueError(f"a batch of {batch_size} can't be dealt to {world_size} x {micro_batches}")
    size = batch_size // world_size // micro_batches
    indices: Sequence[int] = range(len(samples)) if seen_in_training is None else seen_in_training.tolist()

    sampler = BalancedSampler(samples.labels[torch.as_tensor(indices)], seed) if balanced else None

    def chunks() -> Iterator[list[View]]:
        for step in range(start_step, start_step + num_steps):
            places = (
                step_batch(len(indices), batch_size, seed, step)
                if sampler is None
                else sampler.step_batch(batch_size, step)
            )
            views = [(epoch, indices[place]) for epoch, place in places]
            for micro in range(micro_batches):
                first = (micro * world_size + rank) * size
                yield views[first : first + size]

    return _load(_Views(samples, transform, seed), chunks(), num_workers)


def eval_batches(
    samples: ImageDataset,
    transform: Transform,
    *,
    batch_size: int,
    num_workers: int,
    order: Tensor | None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[Batch]:
    """All samples, or those of `order`, once: whole batches dealt to the processes in turn, none padded or dropped."""
    indices = torch.arange(len(samples)) if order is None else order
    chunks = ([(EVALUATION, index) for index in chunk.tolist()] for chunk in indices.split(batch_size))
    return _load(_Views(samples, transform, 0), itertools.islice(chunks, rank, None, world_size), num_workers)


def _load(views: _Views, chunks: Iterator[list[View]], num_workers: int) -> Iterator[Batch]:
    # A list as sampler gives its elements one by one: each is a whole batch already.
    num_workers = min(num_workers, len(os.sched_getaffinity(0)))
    loader: DataLoader[Batch | str] = DataLoader(
        views,
        batch_size=None,
        sampler=_Chunks(chunks),
        num_workers=num_workers,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        prefetch_factor=4 if num_workers else None,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise UserError(batch)
        yield batch


class _Chunks(torch.utils.data.Sampler[list[View]]):
    """Batches of views in the order given, once."""

    def __init__(self, chunks: Iterator[list[View]]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[list[View]]:
        return self.chunks


def _start_worker(worker: int) -> None:
    """Ctrl-C is the parent's to handle; one thread a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
