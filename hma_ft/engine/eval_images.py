"""The images of a split as the model sees them, kept in memory after the first pass over them."""

from collections.abc import Callable, Iterator

import torch

from hma_ft.data.batch import Batch


class EvalImages:
    """Batches of at most `limit_bytes`: a split that does not fit is loaded anew for every pass."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._batches: list[Batch] | None = None

    def batches(self, load: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """The batches of the split, in order; `load` reads them from its images."""
        if self._batches is not None:
            yield from self._batches
            return
        kept: list[Batch] | None = []
        needed = 0
        for batch in load():
            needed += batch.images.nbytes
            if needed > self._limit:
                kept = None
            if kept is not None:
                # copied: what a loader's process hands over lies in shared memory, which may be small
                kept.append(Batch(*(column.clone(memory_format=torch.preserve_format) for column in batch)))
            yield batch
        self._batches = kept
