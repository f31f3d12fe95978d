"""Images a second from JPEG to batch on one core: the released pipeline, this one, this one from decoded images.

python -m analysis.benchmarks.input_pipeline [--quick]

Images are those of DTD in the shared folder, as they are (short side 256 pixels at most) and enlarged to a short side
of 480 pixels, the size of the originals.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from analysis.benchmarks.measurement import Measurement, Options, main, skipped
from analysis.benchmarks.released_input import ReleasedInput
from analysis.benchmarks.timing import interleaved, ratio
from hma_ft.config.schema import AugmentConfig, DatasetConfig, ImageCaching
from hma_ft.data.datasets.base import FileDataset, ImageDataset
from hma_ft.data.decode import decode
from hma_ft.data.image_cache import cached
from hma_ft.data.loading import load_views
from hma_ft.data.transforms import TrainTransform
from hma_ft.data.views import ViewSeeds, training_views
from hma_ft.seeds import derive_seed

SIZE, MEAN, STD = 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
FILTERS = ("bilinear", "bicubic")  # torchvision's default, which the release uses, and that of most timm ViTs


def measure(options: Options) -> list[Measurement]:
    """All rows of this file."""
    if options.shared is None:
        return [skipped("input pipeline")]
    paths = sorted((options.shared / "data/dtd/dtd/images").rglob("*.jpg"))[:: options.size(6, 100)]
    with one_thread(), tempfile.TemporaryDirectory() as folder:
        measurements = _speed(options, paths, "as they are")
        measurements += _speed(options, _enlarged(paths, Path(folder)), "enlarged to 480 pixels")
        measurements += _agreement(paths)
    return measurements


@contextmanager
def one_thread() -> Iterator[None]:
    """A loader process has one; so has this measurement."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _speed(options: Options, paths: Sequence[Path], sizes: str) -> list[Measurement]:
    """Epochs over the images in batches of 50, in this process."""
    files = FileDataset(paths, [0] * len(paths), ["all"], paths[0].parents[1])
    measurements = []
    for name in FILTERS:
        kept = cached({"train": files}, DatasetConfig(cache=ImageCaching.ram))["train"]
        released = ReleasedInput(SIZE, interpolation=name, mean=MEAN, std=STD)
        times = interleaved(  # the warm-up is the first epoch, which fills the cache
            {
                "released": partial(_released_epoch, released, paths),
                "uncached": partial(_epoch, files, name),
                "cached": partial(_epoch, kept, name),
            },
            repeats=options.size(7, 2),
            clock=time.process_time,
        )
        speed = {key: f"{len(paths) / value.median:.0f} images/s" for key, value in times.items()}
        for key, what, limit in (("uncached", "uncached", 2), ("cached", "from the second epoch on, cached", 6)):
            factor, text = ratio(times["released"], times[key])
            measurements.append(
                Measurement(
                    f"input pipeline, one core, {what}, {len(paths)} JPEGs {sizes}, {name}: {speed[key]}",
                    f"PIL, torchvision v1 transforms, floats: {speed['released']}",
                    text,
                    f"{limit} x or more",
                    factor >= limit,
                )
            )
    return measurements


def _released_epoch(released: ReleasedInput, paths: Sequence[Path], size: int = 50) -> None:
    for start in range(0, len(paths), size):
        released.batch(paths[start : start + size])


def _epoch(samples: ImageDataset, interpolation: str, size: int = 50) -> None:
    """The run's own loader in this process."""
    transform = TrainTransform(AugmentConfig(image_size=SIZE), interpolation=interpolation, fill=(0, 0, 0))
    size = min(size, len(samples))
    steps = len(samples) // size
    views = training_views(samples.labels, batch_size=size, seed=0, start_step=0, num_steps=steps)
    for _ in load_views(samples, transform, views, ViewSeeds(0), num_workers=0):
        pass


def _enlarged(paths: Sequence[Path], folder: Path) -> list[Path]:
    """The same images at a short side of 480 pixels, as JPEGs of quality 90."""
    (folder / "all").mkdir()
    written = []
    for path in paths:
        with Image.open(path) as image:
            scale = 480 / min(image.size)
            size = (round(image.width * scale), round(image.height * scale))
            written.append(folder / "all" / path.name)
            image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(written[-1], quality=90)
    return written


def _agreement(paths: Sequence[Path]) -> list[Measurement]:
    """The same random numbers give the same crops and flips; how far the pixels are apart."""
    measurements = []
    for name in FILTERS:
        released = ReleasedInput(SIZE, interpolation=name, mean=MEAN, std=STD)
        transform = TrainTransform(AugmentConfig(image_size=SIZE), interpolation=name, fill=(0, 0, 0))
        same, differences = 0, []
        for index, path in enumerate(paths):
            torch.manual_seed(derive_seed("view", 0, 0, index))
            other, drawn = np.array(released.view(path)), torch.random.get_rng_state()
            torch.manual_seed(derive_seed("view", 0, 0, index))
            own = transform(decode(path)).permute(1, 2, 0)
            same += torch.equal(drawn, torch.random.get_rng_state())
            differences.append((own.int() - torch.from_numpy(other).int()).abs().float())
        pixels = torch.stack(differences)
        worst = pixels.mean((1, 2, 3)).max()
        measurements.append(
            Measurement(
                f"augmentation decisions and pixels, {name}",
                "PIL and torchvision v1 from the same seeds",
                f"the same random numbers drawn for {same} of {len(paths)} images; pixels (0 to 255) differ by "
                f"{pixels.mean():.2f} on average, {(pixels <= 2).float().mean():.2%} by 2 at most; the image that "
                f"differs most by {worst:.2f}",
                "all the same; no image by more than 1",
                same == len(paths) and bool(worst <= 1),
            )
        )
    return measurements


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
