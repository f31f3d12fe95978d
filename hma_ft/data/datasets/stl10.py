"""STL-10 (Coates et al., AISTATS 2011)."""

from typing import Any

import torch
from torch import Tensor
from torchvision import datasets

from hma_ft.data.datasets.torchvision_arrays import TorchvisionArrays


class STL10(TorchvisionArrays):
    """10 classes, 96 x 96 pixels; 5000 images for train and val, 8000 for test."""

    name = "stl10"

    def open(self, train: bool, *, download: bool) -> datasets.STL10:
        """torchvision's."""
        return datasets.STL10(str(self.root), "train" if train else "test", download=download)

    def content(self, dataset: Any) -> tuple[Tensor, list[int], list[str]]:
        """Images, labels, class names."""
        return torch.from_numpy(dataset.data), dataset.labels.tolist(), dataset.classes
