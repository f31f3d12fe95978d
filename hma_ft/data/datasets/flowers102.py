"""Oxford Flowers-102 (Nilsback and Zisserman, ICVGIP 2008)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles


class Flowers102(TorchvisionFiles):
    """102 classes; 10 train and 10 val images each, 6149 test images."""

    name = "flowers102"
    split_names = {"train": "train", "val": "val", "test": "test"}

    def open(self, split: str, *, download: bool) -> datasets.Flowers102:
        """torchvision's."""
        return datasets.Flowers102(str(self.root), split, download=download)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names (numbers, where this torchvision knows no names)."""
        numbers = [f"flower {label + 1:03d}" for label in range(max(dataset._labels) + 1)]
        return dataset._image_files, dataset._labels, getattr(dataset, "classes", numbers)
