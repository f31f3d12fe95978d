"""Evaluation: features of a split once, then predictions in any inference mode."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from hma_ft.config.schema import Precision
from hma_ft.data.batch import Batch
from hma_ft.data.datasets.base import ImageDataset
from hma_ft.data.loading import eval_batches
from hma_ft.engine.costs import CostClock, Spent
from hma_ft.engine.device_copy import DeviceCopy
from hma_ft.engine.eval_images import EvalImages
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.predictor import Predictor
from hma_ft.methods.base import LabelledFeatures, Method
from hma_ft.seeds import derive_seed


@dataclass
class Predictions:
    """Predictions of every sample of a split once, in the order of its ids."""

    ids: Tensor  # int64 [N]
    labels: Tensor  # int64 [N]
    probabilities: Tensor  # float32 [N, C]


class Evaluator(Predictor):
    """Predicts the splits of a data set with a method as it is now.

    Every process reads its share of the images; the features are then brought together and all processes predict
    from the same ones, so that every process knows the same figures. Where features are fixed they are computed once.
    """

    def __init__(
        self,
        method: Method,
        accelerator: Accelerator,
        splits: Mapping[str, ImageDataset],
        transform: Callable[[Tensor], Tensor],
        *,
        batch_size: int,
        num_workers: int,
        seed: int,
        precision: Precision = Precision.fp32,
        store: FeatureStore | None = None,
        final_weights: bool = False,
        kept_bytes: int = 0,
    ) -> None:
        """`store` shares the features of a frozen backbone between runs; `kept_bytes` bounds what keeps val ready
        for the next pass of one that trains.

        `final_weights`: the method is a finished run's, so that a support set which came with its weights holds.
        """
        super().__init__(method, accelerator, precision=precision)
        self.splits = splits
        self.transform = transform
        self._to_device = DeviceCopy(accelerator.device)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.store = store
        self.final_weights = final_weights
        self.clock = CostClock()  # which counts features of splits; a run's training counts on it too
        self._fixed: dict[str, LabelledFeatures] = {}
        self._images = EvalImages(0 if method.has_frozen_features else kept_bytes)
        # while no weight changes: features by split, and by the samples of it that were asked for
        self._held: dict[tuple[str, tuple[int, ...] | None], LabelledFeatures] | None = None

    @contextmanager
    def weights_held(self) -> Iterator[None]:
        """Inside, no weight changes: the same features are computed once, whatever the number of modes."""
        self._held = {}
        try:
            yield
        finally:
            self._held = None

    def predict(self, split: str, mode: str) -> Predictions:
        """Class probabilities of a split in an inference mode; `batch` reads shuffled batches."""
        seen = self.features(split)
        self.prepare_inference(mode)
        self.method.enter_mode(training=False)  # before the inference begins, which holds what training would change
        probabilities = torch.empty(len(seen.labels), self.method.num_classes)
        with self.method.inference(mode):
            for rows in self.batches(split, mode):
                probabilities[rows] = self.classify(seen.features[rows.to(seen.features.device)])
        return Predictions(seen.ids.cpu(), seen.labels.cpu(), probabilities)

    def batches(self, split: str, mode: str) -> tuple[Tensor, ...]:
        """Which samples of a split are read together, in order; mode `batch` shuffles them, by the seed of the run."""
        order = torch.arange(len(self.splits[split]))
        if mode == "batch":
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "evaluation batches", split))
            order = torch.randperm(len(order), generator=generator)
        return order.split(self.batch_size)

    def prepare_inference(self, mode: str) -> None:
        """Bring the method the training features that the mode reads, unless they came with its weights."""
        bank = self.method.support_bank(mode)
        if bank is None or (self.final_weights and len(bank) > 0):
            return
        needed = self.method.support_indices(mode, self.splits["train"].labels)
        if needed is not None:
            self.method.set_support(self.features("train", needed))

    @torch.no_grad()
    def features(self, split: str, indices: Tensor | None = None) -> LabelledFeatures:
        """Features, labels and ids of a split or of some of its samples, on the device."""
        if self.method.has_frozen_features:
            return self._fixed_features(split, indices)
        if self._held is None:
            return self._extract(split, indices)
        key = split, None if indices is None else tuple(indices.tolist())
        if key not in self._held:
            self._held[key] = self._extract(split, indices)
        return self._held[key]

    def some_features(self, split: str, indices: Tensor) -> LabelledFeatures:
        """Features of few samples: those that are stored already, else of these alone."""
        stored = self.store is not None and self.store.read_split(split) is not None
        if self.method.has_frozen_features and (split in self._fixed or stored):
            return self._fixed_features(split, indices)
        return self._extract(split, indices)

    def _fixed_features(self, split: str, indices: Tensor | None) -> LabelledFeatures:
        """Computed once a run, or by an earlier run; the clock counts what computing them took, whoever did."""
        if split not in self._fixed:
            with self.clock.on(Spent.nothing):
                self._fixed[split], seconds = self._read_or_extract(split)
            self.clock.count(Spent.features if split == "train" else Spent.evaluation, seconds)
        seen = self._fixed[split]
        return seen if indices is None else LabelledFeatures(*(column[indices] for column in seen))

    def _read_or_extract(self, split: str) -> tuple[LabelledFeatures, float]:
        """Features of a split on the device, and the seconds that reading and computing them took."""
        stored = None if self.store is None else self.store.read_split(split)
        if stored is not None:
            columns = (column.to(self.accelerator.device) for column in stored.features)
            return LabelledFeatures(*columns), stored.seconds
        started = time.perf_counter()
        seen = self._extract(split, None)  # waits for the device
        seconds = time.perf_counter() - started
        if self.store is not None:
            self.store.write_split(split, seen, seconds=seconds)
        return seen, seconds

    def _extract(self, split: str, indices: Tensor | None) -> LabelledFeatures:
        """One pass of the backbone over the images."""
        self.method.enter_mode(training=False)
        parts = [self._features_of(batch) for batch in self._read(split, indices)]
        seen = self._bring_together(parts)
        expected = len(self.splits[split]) if indices is None else len(indices)
        if len(seen.ids.unique()) != expected or len(seen.ids) != expected:
            raise RuntimeError(f"evaluation of {split} saw {len(seen.ids)} samples of {expected}")
        return seen

    def _read(self, split: str, indices: Tensor | None) -> Iterator[Batch]:
        """This process's batches; those of val, which every evaluation reads, are kept."""

        def load() -> Iterator[Batch]:
            return eval_batches(
                self.splits[split],
                self.transform,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
                order=indices,
                rank=self.accelerator.process_index,
                world_size=self.accelerator.num_processes,
            )

        return self._images.batches(load) if split == "val" and indices is None else load()

    def _features_of(self, batch: Batch) -> LabelledFeatures:
        batch = self._to_device(batch)
        images, missing = batch.images, self.batch_size - len(batch.ids)
        if missing > 0 and self.method.backbone.is_compiled:  # a smaller last batch would be compiled for itself
            images = torch.cat([images, images[-1:].expand(missing, -1, -1, -1)])
        return LabelledFeatures(self.features_of(images)[: len(batch.ids)], batch.labels, batch.ids)

    def _bring_together(self, parts: list[LabelledFeatures]) -> LabelledFeatures:
        """All processes' samples, sorted by id."""
        width, device = self.method.backbone.width, self.accelerator.device
        empty = torch.empty(0, dtype=torch.int64, device=device)
        own = [torch.empty(0, width, device=device), empty, empty]
        if parts:
            own = [torch.cat(column) for column in zip(*parts, strict=True)]
        columns = [self._gather(column) for column in own]
        order = columns[2].argsort()
        return LabelledFeatures(*(column[order] for column in columns))

    def _gather(self, rows: Tensor) -> Tensor:
        """Rows of all processes, which may bring different numbers of them."""
        if self.accelerator.num_processes == 1:
            return rows
        padded = self.accelerator.pad_across_processes(rows, dim=0)
        counts = self.accelerator.gather(torch.tensor([len(rows)], device=rows.device)).tolist()
        gathered = self.accelerator.gather(padded).split(len(padded))
        return torch.cat([part[:count] for part, count in zip(gathered, counts, strict=True)])
