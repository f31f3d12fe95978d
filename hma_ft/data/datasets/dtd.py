"""Describable Textures (Cimpoi et al., CVPR 2014), partition 1."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles


class DTD(TorchvisionFiles):
    """47 classes; 40 train, 40 val and 40 test images each."""

    name = "dtd"
    split_names = {"train": "train", "val": "val", "test": "test"}

    def open(self, split: str, *, download: bool) -> datasets.DTD:
        """torchvision's."""
        return datasets.DTD(str(self.root), split, partition=int(self.options.get("partition", 1)), download=download)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names."""
        return dataset._image_files, dataset._labels, dataset.classes
