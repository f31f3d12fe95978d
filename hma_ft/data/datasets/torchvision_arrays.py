"""The part that torchvision's data sets in memory have in common."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from hma_ft.data.datasets.base import ArrayDataset, DatasetBuilder, ImageDataset
from hma_ft.data.datasets.torchvision_files import opened


class TorchvisionArrays(DatasetBuilder):
    """Small images that torchvision reads into an array; train and test."""

    name: str

    @abstractmethod
    def open(self, train: bool, *, download: bool) -> Any:
        """The torchvision data set."""

    @abstractmethod
    def content(self, dataset: Any) -> tuple[Tensor, list[int], list[str]]:
        """Images uint8 [N, 3, H, W], labels, class names."""

    def splits(self) -> dict[str, ImageDataset]:
        """Train and test."""
        return {"train": self._samples(True), "test": self._samples(False)}

    def download(self) -> None:
        """Let torchvision fetch and unpack; it checks the archive's sum."""
        self.root.mkdir(parents=True, exist_ok=True)
        opened(self.name, self.root, lambda: self.open(True, download=True))

    def _samples(self, train: bool) -> ImageDataset:
        dataset = opened(self.name, self.root, lambda: self.open(train, download=False))
        images, labels, class_names = self.content(dataset)
        return ArrayDataset(images, torch.as_tensor(labels, dtype=torch.int64), class_names)
