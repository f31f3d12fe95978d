"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles


class Pets37(TorchvisionFiles):
    """37 breeds; 3680 images for train and val, 3669 for test."""

    name = "pets37"
    split_names = {"train": "trainval", "test": "test"}

    def open(self, split: str, *, download: bool) -> datasets.OxfordIIITPet:
        """torchvision's."""
        return datasets.OxfordIIITPet(str(self.root), split, target_types="category", download=download)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names."""
        return dataset._images, dataset._labels, dataset.classes
