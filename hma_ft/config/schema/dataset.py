"""Keys of conf/dataset."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class ImageCaching(Enum):
    """Where decoded images are kept for later epochs: nowhere, in this run's memory, or on disk for all runs."""

    none = "none"
    ram = "ram"
    disk = "disk"


class Corruption(Enum):
    """How test images are corrupted (Hendrycks and Dietterich, ICLR 2019)."""

    none = "none"
    noise = "noise"
    blur = "blur"
    contrast = "contrast"
    jpeg = "jpeg"


@dataclass
class DatasetConfig:
    """Images with classes, as train, val and test splits."""

    name: str = "dtd"
    target: str = "hma_ft.data.datasets.dtd.DTD"  # the class that finds the images
    root: str = "data"
    on_disk: bool = True  # false: the images come with a package
    download: bool = True  # fetch what is missing before training; false: stop with the command that does
    split_seed: int = 0  # of the val split, where the data set has none of its own, and of the draws below
    val_fraction: float = 0.2  # of the training images, where the data set has no val split
    test_fraction: float = 0.2  # of the training images, where the data set has no test split; drawn before val
    exif_orientation: bool = False  # turn images as their EXIF orientation says; predictions follow the run's choice
    train_per_class: int | None = None  # few-shot: so many training images a class, drawn by split_seed
    label_noise: float = 0.0  # share of training images with another class's label, drawn by split_seed
    one_batch: int | None = None  # train, val and test are the same so many training images (debug=overfit)
    held_out_classes: int = 0  # drawn by split_seed: no step sees them and val lacks them, a bank of train holds them
    test_corruption: Corruption = Corruption.none
    corruption_severity: int = 3  # 1 to 5
    cache: ImageCaching = ImageCaching.none  # of decoded images; the numbers do not depend on it
    cache_gb: float = 10.0  # its bound; images that don't fit are decoded again
    cache_dir: str = "${runs_dir}/images"  # of cache=disk
    verify_content: bool = False  # read every image file again, though size, times and inode say that it is unchanged
    options: dict[str, Any] = field(default_factory=dict)  # what this data set alone has
