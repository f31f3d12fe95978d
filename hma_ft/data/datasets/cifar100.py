"""CIFAR-100 (Krizhevsky, 2009)."""

from torchvision import datasets

from hma_ft.data.datasets.cifar10 import CIFAR10


class CIFAR100(CIFAR10):
    """100 classes, 32 x 32 pixels; 50000 images for train and val, 10000 for test."""

    name = "cifar100"
    dataset_class = datasets.CIFAR100
