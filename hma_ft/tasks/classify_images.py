"""From images that could be read to what `task=predict` says of them."""

from collections.abc import Iterator
from pathlib import Path

import torch

from hma_ft.finished_run import FinishedRun
from hma_ft.memory.ring_buffer import NO_ID
from hma_ft.methods.memory_lookup import MemoryLookup, Neighbour
from hma_ft.names import printable
from hma_ft.tasks.images import ImageBatch
from hma_ft.tasks.prediction_files import NamedNeighbour, Prediction, ranked


class ImageClassifier:
    """Predicts with a finished run in an inference mode, once its memories are as they shall be."""

    def __init__(
        self, run: FinishedRun, mode: str, *, threshold: float, nearest: int, added_names: dict[int, str]
    ) -> None:
        """`threshold`: least probability of an answer. `nearest`: images of the memory that are named; 0: no lookup.

        `added_names`: by id, of images that the run did not train on.
        """
        self.run = run
        self.threshold = threshold
        self.lookup = MemoryLookup.create(run.method, mode, count=nearest) if nearest else None
        self._names = run.held_names | added_names if self.lookup is not None else {}

    def __call__(self, batch: ImageBatch, folder: Path) -> Iterator[Prediction]:
        """Predictions of a batch; files are named by their paths below `folder`."""
        if not batch.images:
            return
        features = self.run.predictor.features_of(torch.stack(batch.images))
        ids = torch.tensor(batch.ids, device=features.device)
        known = None if bool((ids == NO_ID).all()) else ids
        probabilities = self.run.predictor.classify(features, known)
        found = [None] * len(ids) if self.lookup is None else self.lookup(features, known)
        for path, row, neighbours in zip(batch.paths, probabilities, found, strict=True):
            classes = ranked(row, self.run.class_names)
            yield Prediction(
                file=printable(path.relative_to(folder)),
                ranked=classes,
                answered=classes[0][1] >= self.threshold,
                nearest=None if neighbours is None else [self._named(neighbour) for neighbour in neighbours],
            )

    def _named(self, neighbour: Neighbour) -> NamedNeighbour:
        """Names instead of ids, of both images where two were mixed."""
        names = [self._names.get(sample, str(sample)) for sample in neighbour.ids]
        return NamedNeighbour(" + ".join(names), self.run.class_names[neighbour.label], neighbour.distance)
