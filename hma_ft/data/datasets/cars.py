"""Stanford Cars (Krause et al., 2013). Its server is gone: the files are put in place by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torchvision import datasets

from hma_ft.data.datasets.torchvision_files import TorchvisionFiles
from hma_ft.errors import UserError


class Cars(TorchvisionFiles):
    """196 models; 8144 images for train and val, 8041 for test."""

    name = "cars"
    split_names = {"train": "train", "test": "test"}

    def open(self, split: str, *, download: bool) -> datasets.StanfordCars:
        """torchvision's, which no longer downloads."""
        return datasets.StanfordCars(str(self.root), split, download=False)

    def index(self, dataset: Any) -> tuple[Sequence[Path], Sequence[int], Sequence[str]]:
        """Files, labels, class names."""
        paths, labels = zip(*dataset._samples, strict=True)
        return paths, labels, dataset.classes

    def download(self) -> None:
        """Say where the data set still is, and which files go where."""
        folder = self.root / "stanford_cars"
        raise UserError(
            "Stanford Cars can no longer be downloaded: use dataset=hub dataset.options.id=tanganke/stanford_cars "
            "dataset.name=cars (pip install 'hma-ft[hub]'), or put cars_train/, cars_test/, devkit/ (with "
            f"cars_train_annos.mat and cars_meta.mat) and cars_test_annos_withlabels.mat into {folder}"
        )
