"""Images on which exported files are compared with the run's own model."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hma_ft.errors import UserError
from hma_ft.finished_run import FinishedRun

NUMBER = 32


class Examples(NamedTuple):
    """Prepared images, and what they are."""

    images: Tensor  # uint8 [B, 3, S, S]
    said: str  # "32 test images"


def examples(run: FinishedRun) -> Examples:
    """Test images of the run where its data set is at hand, else images that are made up."""
    try:
        test = run.splits.test
        indices = torch.linspace(0, len(test) - 1, min(NUMBER, len(test))).long().unique().tolist()
        images, kind = torch.stack([run.transform(test.load(index)) for index in indices]), "test"
    except UserError:
        images, kind = made_up_images(run.transform.image_size), "made-up"
    return Examples(images, f"{len(images)} {kind} images")


def made_up_images(side: int) -> Tensor:
    """uint8 [32, 3, side, side]: noise at scales from single pixels to one gradient over the whole image.

    Always the same ones.
    """
    generator = torch.Generator().manual_seed(0)
    images = []
    for number in range(NUMBER):
        cells = max(2, side >> (number % 8))
        noise = torch.rand(1, 3, cells, cells, generator=generator)
        images.append(interpolate(noise, size=(side, side), mode="bilinear", align_corners=True))
    return (255 * torch.cat(images)).round().to(torch.uint8)
