"""Harder conditions than a data set comes with: few images a class, wrong labels, held-out classes, corruptions."""

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from hma_ft.config.schema import Corruption, DatasetConfig
from hma_ft.data.datasets.base import ImageDataset, Subset
from hma_ft.data.digests import derived_digest
from hma_ft.errors import UserError
from hma_ft.seeds import derive_seed

# By severity 1 to 5, for images scaled to 0..1; blur in pixels of the file (Hendrycks and Dietterich, ICLR 2019).
NOISE_SD = (0.08, 0.12, 0.18, 0.26, 0.38)
BLUR_SIGMA = (1.0, 2.0, 3.0, 4.0, 6.0)
CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)
JPEG_QUALITY = (25, 18, 15, 10, 7)


def with_variants(train: ImageDataset, test: ImageDataset, config: DatasetConfig) -> tuple[ImageDataset, ImageDataset]:
    """Train and test as `config` wants them. UserError if a class has too few images."""
    if config.train_per_class is not None:
        train = Subset(train, few_per_class(train, config.train_per_class, config.split_seed))
    if config.label_noise:
        train = Relabelled(train, noisy_labels(train, config.label_noise, config.split_seed))
    if config.test_corruption is not Corruption.none:
        test = Corrupted(test, config.test_corruption, config.corruption_severity)
    return train, test


def in_words(config: DatasetConfig) -> list[str]:
    """A sentence for each condition, without which the figures of a run would mislead."""
    said = []
    if config.train_per_class is not None:
        said.append(f"Only {config.train_per_class} training images a class were used.")
    if config.label_noise:
        said.append(f"{config.label_noise:.0%} of the training labels were made wrong on purpose.")
    if config.held_out_classes:
        said.append(f"No step trained on {config.held_out_classes} of the classes, and val lacks them.")
    if config.one_batch is not None:
        said.append(f"Trained, chosen and tested on the same {config.one_batch} images, to debug: no result.")
    if config.test_corruption is not Corruption.none:
        kind, severity = config.test_corruption.value, config.corruption_severity
        said.append(f"The test images were corrupted on purpose: {kind}, severity {severity} of 5.")
    return said


def are_new(labels: Tensor, class_names: list[str], number: int, seed: int) -> Tensor:
    """Which of labels [N] belong to the `number` classes drawn as new, bool [N]. UserError if too few are left."""
    if number > len(class_names) - 2:
        raise UserError(
            f"dataset.held_out_classes={number} of {len(class_names)} classes: at least two must be left to train on"
        )
    generator = torch.Generator().manual_seed(derive_seed("new_classes", seed))
    return torch.isin(labels, torch.randperm(len(class_names), generator=generator)[:number])


def spread(count: int, number: int) -> Tensor:
    """Indices of `number` of `count` images at equal distances, or of all; folders list their classes in turn."""
    number = min(number, count)
    return torch.arange(number) * count // number


def few_per_class(samples: ImageDataset, number: int, seed: int) -> Tensor:
    """Sorted indices of `number` images a class; a smaller number with the same seed gives some of the same ones."""
    chosen = []
    for label, name in enumerate(samples.class_names):
        members = (samples.labels == label).nonzero().flatten()
        if len(members) < number:
            raise UserError(f"dataset.train_per_class={number}, but class {name} has {len(members)} training images")
        generator = torch.Generator().manual_seed(derive_seed("train_per_class", seed, label))
        chosen.append(members[torch.randperm(len(members), generator=generator)[:number]])
    return torch.cat(chosen).sort().values


def noisy_labels(samples: ImageDataset, share: float, seed: int) -> Tensor:
    """Labels [N], of which a `share` of the images has another class's, all others equally likely.

    UserError if that changes no label, or leaves a class without images.
    """
    generator = torch.Generator().manual_seed(derive_seed("label_noise", seed))
    count, classes = len(samples), len(samples.class_names)
    wrong = torch.randperm(count, generator=generator)[: round(share * count)]
    if len(wrong) == 0:
        raise UserError(
            f"dataset.label_noise={share:g} of {count} training images is less than one: give at least {1 / count:.2g}"
        )
    shift = torch.randint(1, classes, (len(wrong),), generator=generator)
    labels = samples.labels.clone()
    labels[wrong] = (labels[wrong] + shift) % classes
    for label, number in enumerate(labels.bincount(minlength=classes).tolist()):
        if number == 0:
            raise UserError(
                f"dataset.label_noise={share:g} leaves class {samples.class_names[label]} without training images: "
                "give less noise or another dataset.split_seed"
            )
    return labels


class Relabelled(Subset):
    """The same images with other labels."""

    def __init__(self, samples: ImageDataset, labels: Tensor) -> None:
        super().__init__(samples, torch.arange(len(samples)))
        self.labels = labels


class Corrupted(Subset):
    """The same images, corrupted; a pure function of the image and its number."""

    def __init__(self, samples: ImageDataset, corruption: Corruption, severity: int) -> None:
        """`severity`: 1 to 5."""
        super().__init__(samples, torch.arange(len(samples)))
        self.corruption = corruption
        self.severity = severity

    def load(self, index: int) -> Tensor:
        """uint8 [3, H, W]."""
        return corrupt(self.samples.load(index), self.corruption, self.severity, index)

    def sample_id(self, index: int) -> str:
        """Tells corrupted images from their originals."""
        return f"{self.samples.sample_id(index)} ({self.corruption.value} {self.severity})"

    def content_digests(self) -> list[str]:
        """Digest of the original, and all that its damage depends on: the number draws the noise."""
        how = self.corruption.value, self.severity
        return [derived_digest(digest, *how, number) for number, digest in enumerate(self.samples.content_digests())]


def corrupt(image: Tensor, corruption: Corruption, severity: int, number: int) -> Tensor:
    """An image uint8 [3, H, W] of the same size, corrupted; `number` draws the noise."""
    level = severity - 1
    if corruption is Corruption.jpeg:
        return functional.jpeg(image, JPEG_QUALITY[level])
    values = image.float() / 255
    if corruption is Corruption.noise:
        generator = torch.Generator().manual_seed(derive_seed("corruption", number))
        values = values + NOISE_SD[level] * torch.randn(values.shape, generator=generator)
    elif corruption is Corruption.blur:
        reach = round(4 * BLUR_SIGMA[level])
        width, height = (2 * min(reach, side - 1) + 1 for side in (image.shape[2], image.shape[1]))  # it reflects
        values = functional.gaussian_blur(values, [width, height], [BLUR_SIGMA[level]])
    elif corruption is Corruption.contrast:
        mean = values.mean(dim=(1, 2), keepdim=True)
        values = mean + CONTRAST[level] * (values - mean)
    return (values.clamp(0, 1) * 255).round().to(torch.uint8)
