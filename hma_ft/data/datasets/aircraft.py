"""FGVC-Aircraft (Maji et al., 2013)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles


class Aircraft(TorchvisionFiles):
    """100 variants, or 70 families or 30 manufacturers (option `level`); about 3333 images a split."""

    name = "aircraft"
    split_names = {"train": "train", "val": "val", "test": "test"}

    def open(self, split: str, *, download: bool) -> datasets.FGVCAircraft:
        """torchvision's."""
        return datasets.FGVCAircraft(str(self.root), split, self.options.get("level", "variant"), download=download)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names."""
        return dataset._image_files, dataset._labels, dataset.classes
