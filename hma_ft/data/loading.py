"""Loaders whose numbers don't depend on the number of workers or processes."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hma_ft.data.batch import Batch
from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.views import EVALUATION, View, ViewSeeds
from hma_ft.errors import UserError

Transform = Callable[[Tensor], Tensor]


class _Views(Dataset[Batch | str]):
    """Batches by their views. A UserError comes back as its message: the loader would wrap the exception."""

    def __init__(self, samples: ImageDataset, transform: Transform, seeds: ViewSeeds) -> None:
        self.samples = samples
        self.transform = transform
        self.seeds = seeds

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
            torch.random.default_generator.manual_seed(self.seeds.of(epoch, index))
        return self.transform(image)


def view_seeds(samples: ImageDataset, seed: int, finite: int | None) -> ViewSeeds:
    """The seeds of the views of a split; `finite`: how many views an image has, None for a new one every epoch."""
    return ViewSeeds(seed, finite, () if finite is None else samples.content_digests())


def load_views(
    samples: ImageDataset, transform: Transform, batches: Iterator[list[View]], seeds: ViewSeeds, *, num_workers: int
) -> Iterator[Batch]:
    """A batch for each list of views. Raises UserError for an image that can't be read."""
    return _load(_Views(samples, transform, seeds), batches, num_workers)


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
    return _load(
        _Views(samples, transform, ViewSeeds(0)), itertools.islice(chunks, rank, None, world_size), num_workers
    )


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
    """Signals to the group, as from Ctrl-C or `timeout`, are the parent's to handle; one thread a worker."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
