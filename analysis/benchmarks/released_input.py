"""The input pipeline as the release has it: PIL decodes, torchvision's v1 transforms, floats from the worker."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode


class ReleasedInput:
    """An image's training view as a normalised float tensor [3, S, S]."""

    def __init__(self, size: int, *, interpolation: str, mean: Sequence[float], std: Sequence[float]) -> None:
        self.decisions = transforms.Compose(
            [
                transforms.RandomResizedCrop(size, interpolation=InterpolationMode(interpolation)),
                transforms.RandomHorizontalFlip(),
            ]
        )
        self.to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    def view(self, path: Path) -> Image.Image:
        """Decoded, cropped, resized, perhaps mirrored; all randomness from torch's global generator."""
        with Image.open(path) as image:
            return self.decisions(image.convert("RGB"))

    def __call__(self, path: Path) -> Tensor:
        """All of it."""
        return self.to_tensor(self.view(path))

    def batch(self, paths: Sequence[Path]) -> Tensor:
        """[B, 3, S, S]."""
        return torch.stack([self(path) for path in paths])
