"""Food-101 (Bossard et al., ECCV 2014)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles


class Food101(TorchvisionFiles):
    """101 dishes; 750 images each for train and val (noisy labels), 250 for test."""

    name = "food101"
    split_names = {"train": "train", "test": "test"}

    def open(self, split: str, *, download: bool) -> datasets.Food101:
        """torchvision's."""
        return datasets.Food101(str(self.root), split, download=download)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names."""
        return dataset._image_files, dataset._labels, dataset.classes
