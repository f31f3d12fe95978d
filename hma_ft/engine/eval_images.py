"""The images of val and test as the model sees them, kept in memory after the first pass over them."""

from collections.abc import Callable, Iterator

import torch

from hma_ft.data.batch import Batch


class EvalImages:
    """Batches by split, at most `limit_bytes` of them: a split that does not fit is loaded anew for every pass."""

    def __init__(self, limit_bytes: int) -> None:
        self._left = limit_bytes
        self._batches: dict[str, list[Batch]] = {}

    def batches(self, split: str, load: Callable[[], Iterator[Batch]]) -> Iterator[Batch]:
        """The batches of a split, in order; `load` reads them from its images."""
        if split in self._batches:
            yield from self._batches[split]
            return
        kept: list[Batch] | None = []
        needed = 0
        for batch in load():
            needed += batch.images.nbytes
            if needed > self._left:
                kept = None
            if kept is not None:
                # copied: what a loader's process hands over lies in shared memory, which may be small
                kept.append(Batch(*(column.clone(memory_format=torch.preserve_format) for column in batch)))
            yield batch
        if kept is not None:
            self._batches[split] = kept
            self._left -= needed
