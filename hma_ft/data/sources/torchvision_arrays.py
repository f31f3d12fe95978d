"""The part that torchvision's data sets in memory have in common."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from hma_ft.data.sources.base import ArraySamples, Samples, Source
from hma_ft.data.sources.torchvision_files import opened


class TorchvisionArrays(Source):
    """Small pictures that torchvision reads into an array; train and test."""

    name: str

    @abstractmethod
    def open(self, train: bool, *, download: bool) -> Any:
        """The torchvision data set."""

    @abstractmethod
    def content(self, dataset: Any) -> tuple[Tensor, list[int], list[str]]:
        """Pictures uint8 [N, 3, H, W], labels, class names."""

    def splits(self) -> dict[str, Samples]:
        """Train and test."""
        return {"train": self._samples(True), "test": self._samples(False)}

    def download(self) -> None:
        """Let torchvision fetch and unpack; it checks the archive's sum."""
        self.root.mkdir(parents=True, exist_ok=True)
        opened(self.name, self.root, lambda: self.open(True, download=True))

    def _samples(self, train: bool) -> Samples:
        dataset = opened(self.name, self.root, lambda: self.open(train, download=False))
        pictures, labels, class_names = self.content(dataset)
        return ArraySamples(pictures, torch.as_tensor(labels, dtype=torch.int64), class_names)
