"""CIFAR-10 (Krizhevsky, 2009)."""

from typing import Any

import torch
from torch import Tensor
from torchvision import datasets

from hma_ft.data.datasets.torchvision_arrays import TorchvisionArrays


class CIFAR10(TorchvisionArrays):
    """10 classes, 32 x 32 pixels; 50000 images for train and val, 10000 for test."""

    name = "cifar10"
    dataset_class: type[datasets.CIFAR10] = datasets.CIFAR10

    def open(self, train: bool, *, download: bool) -> Any:
        """torchvision's."""
        return self.dataset_class(str(self.root), train, download=download)

    def content(self, dataset: Any) -> tuple[Tensor, list[int], list[str]]:
        """Images, labels, class names."""
        return torch.from_numpy(dataset.data).permute(0, 3, 1, 2), dataset.targets, dataset.classes
