"""Places365-Standard (Zhou et al., TPAMI 2018)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles


class Places365(TorchvisionFiles):
    """365 scenes; 1.8 million images for train and val; the official val split is our test, as test has no labels."""

    name = "places365"
    split_names = {"train": "train-standard", "test": "val"}

    def open(self, split: str, *, download: bool) -> datasets.Places365:
        """torchvision's; `small` (256 x 256 pixels) unless the option says otherwise."""
        missing = download and not self._unpacked(split)
        return datasets.Places365(str(self.root), split, small=bool(self.options.get("small", True)), download=missing)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names."""
        paths, labels = zip(*dataset.imgs, strict=True)
        return paths, labels, dataset.classes

    def _unpacked(self, split: str) -> bool:
        """torchvision refuses to download over an unpacked archive."""
        size = "256" if self.options.get("small", True) else "large"
        part = "data" if split.startswith("train") else "val"
        folder = {("data", "256"): "data_256_standard", ("data", "large"): "data_large_standard"}.get(
            (part, size), f"val_{size}"
        )
        return (self.root / folder).is_dir()
