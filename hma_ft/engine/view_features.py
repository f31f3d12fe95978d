"""Features of finite views of the training images: each view passes a frozen backbone once, for all runs.

Views are computed in blocks of one size, whatever a step asks for, so that the last digits of a view's features depend
neither on the batch size nor on the run that happened to compute them.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import torch
from accelerate import Accelerator
from torch import Tensor

from hma_ft.data.batch import Batch
from hma_ft.data.views import View, ViewSeeds
from hma_ft.engine.costs import CostClock, Spent
from hma_ft.engine.feature_store import FeatureStore, StoredViews
from hma_ft.methods.base import Method

BLOCK = 32  # views that pass the backbone together
ENTRY = 512  # views that are stored together
ENTRY_SECONDS = 20.0  # after which an entry ends with fewer: a signal waits for its end
POLL_SECONDS = 0.02
LoadViews = Callable[[Iterator[list[View]]], Iterator[Batch]]
Key = tuple[str, int]  # digest of an image, number of its view


class ViewFeatures:
    """The features of a run's views, read from a store, or computed and stored where it lacks them."""

    def __init__(
        self,
        store: FeatureStore | None,
        load: LoadViews,
        seeds: ViewSeeds,
        labels: Tensor,
        method: Method,
        accelerator: Accelerator,
        clock: CostClock,
    ) -> None:
        """`load` reads a batch for each list of views; `labels` [N] are those of the training split."""
        self._store, self._load, self._seeds, self._labels = store, load, seeds, labels
        self._method, self._accelerator, self._clock = method, accelerator, clock
        self._read: set[str] = set()  # entries of the store

    def batches(self, views: Iterable[list[View]], *, before: Iterable[list[View]]) -> Iterator[Batch]:
        """A batch of features for each list of views. `clock` counts each view once, whoever computed it.

        `before`: the views of the steps that the run had taken when it began again, which are counted already.
        """
        with self._clock.on(Spent.nothing):
            views = list(views)
            self._first = {self._key(view): view for batch in reversed(views) for view in batch}
            self._order = list(dict.fromkeys(self._key(view) for batch in views for view in batch))
            self._places = {key: place for place, key in enumerate(self._order)}
            self._seconds = [-1.0] * len(self._order)  # of each view; -1: its features are missing
            self._features = torch.empty(0)
            self._cursor = 0  # no view before it is missing
            counted = {self._places.get(self._key(view)) for batch in before for view in batch}
        for batch in views:
            places = [self._places[self._key(view)] for view in batch]
            while any(self._seconds[place] < 0 for place in places):
                self._provide()
            self._clock.count(Spent.features, sum(self._seconds[place] for place in set(places) - counted))
            counted.update(places)
            ids = torch.tensor([sample for _, sample in batch])
            yield Batch(self._features[torch.tensor(places)], self._labels[ids], ids)

    def _key(self, view: View) -> Key:
        epoch, sample = view
        return self._seeds.contents[sample], self._seeds.number(epoch)

    def _provide(self) -> None:
        """Read what others have stored by now; compute the next entry unless another run is at just that one."""
        with self._clock.on(Spent.nothing):
            self._take_stored()
            missing = self._next_missing()
            if not missing:
                return
            if self._store is None:
                self._take(self._computed(missing))
                return
            entry = "views-" + hashlib.sha256(repr(missing).encode()).hexdigest()[:24]
            with self._store.producing(entry) as mine:
                if not mine:
                    time.sleep(POLL_SECONDS)
                    return
                computed = self._store.read_views(entry)  # another run may just have ended it
                if computed is None:
                    computed = self._computed(missing)
                    self._store.write_views(entry, computed)
            self._take(computed)

    def _take_stored(self) -> None:
        for entry in [] if self._store is None else self._store.view_entries():
            if entry not in self._read:
                self._read.add(entry)
                stored = self._store.read_views(entry) if self._store is not None else None
                if stored is not None:
                    self._take(stored)

    def _take(self, views: StoredViews) -> None:
        """Keep what the run needs."""
        if not len(self._features):
            size = (len(self._seconds), views.features.shape[1])
            self._features = torch.empty(size, dtype=views.features.dtype)
        for row, key in enumerate(zip(views.contents, views.numbers, strict=True)):
            place = self._places.get(key)
            if place is not None and self._seconds[place] < 0:
                self._features[place] = views.features[row]
                self._seconds[place] = views.seconds / len(views.contents)

    def _next_missing(self) -> list[Key]:
        """The first views in the run's order that are missing, as many as an entry has."""
        while self._cursor < len(self._seconds) and self._seconds[self._cursor] >= 0:
            self._cursor += 1
        missing = (self._order[place] for place in range(self._cursor, len(self._order)) if self._seconds[place] < 0)
        return list(islice(missing, ENTRY))

    def _computed(self, keys: Sequence[Key]) -> StoredViews:
        started = time.perf_counter()
        views = [self._first[key] for key in keys]
        views += views[-1:] * (-len(views) % BLOCK)
        blocks = (views[first : first + BLOCK] for first in range(0, len(views), BLOCK))
        computed = []
        for batch in self._load(blocks):
            computed.append(self._features_of(batch))
            if time.perf_counter() - started > ENTRY_SECONDS:
                break
        features = torch.cat(computed)[: len(keys)]
        contents, numbers = (list(column) for column in zip(*keys[: len(features)], strict=True))
        return StoredViews(contents, numbers, features, time.perf_counter() - started)

    @torch.no_grad()
    def _features_of(self, batch: Batch) -> Tensor:
        images = batch.images.to(self._accelerator.device)
        with self._accelerator.autocast():
            return self._method.features(images).cpu()
