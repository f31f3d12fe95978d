"""Handwritten digits that come with scikit-learn (UCI, Alpaydin and Kaynak, 1998): real data without a download."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from hma_ft.data.datasets.base import ArrayDataset, DatasetBuilder, ImageDataset

TEST_SIZE = 450


class Digits(DatasetBuilder):
    """10 classes, 8 x 8 pixels, 1797 images; a fixed, stratified quarter is the test split."""

    def splits(self) -> dict[str, ImageDataset]:
        """Train and test; nothing on disk is read but the package."""
        digits = load_digits()
        labels = torch.from_numpy(digits.target).long()
        grey = torch.from_numpy(digits.images * (255 / 16)).round().to(torch.uint8)
        images = grey[:, None].expand(-1, 3, -1, -1).contiguous()
        train, test = train_test_split(range(len(labels)), test_size=TEST_SIZE, random_state=0, stratify=digits.target)
        names = [str(name) for name in digits.target_names]
        return {
            name: ArrayDataset(images[sorted(rows)], labels[sorted(rows)], names)
            for name, rows in (("train", train), ("test", test))
        }

    def is_present(self) -> bool:
        """Always."""
        return True
