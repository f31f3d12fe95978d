"""Views of images, against torchvision and PIL."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.transforms import InterpolationMode, v2

from hma_ft.config.schema import AugmentConfig, Resize
from hma_ft.data.transforms import EvalTransform, TrainTransform


def smooth_image(height: int = 90, width: int = 120) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.linspace(0, 6, height), torch.linspace(0, 9, width), indexing="ij")
    channels = [128 + 100 * torch.sin(rows + k) * torch.cos(columns - k) for k in range(3)]
    return torch.stack(channels).round().to(torch.uint8)


@pytest.mark.parametrize(("crop_ratio", "interpolation"), [(0.875, "bicubic"), (1.0, "bilinear"), (0.9, "bicubic")])
def test_evaluation_is_timms_up_to_rounding(crop_ratio: float, interpolation: str) -> None:
    image = smooth_image()
    own = EvalTransform(48, crop_ratio=crop_ratio, interpolation=interpolation)(image)
    pil = Image.fromarray(image.permute(1, 2, 0).numpy())
    theirs = create_transform(48, crop_pct=crop_ratio, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1))(pil)
    assert own.dtype == torch.uint8
    assert own.shape == (3, 48, 48)
    difference = (own.float() / 255 - theirs).abs()
    assert difference.max() < 2.5 / 255
    assert difference.mean() < 0.6 / 255


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 300), (901, 3), (7, 1000), (333, 3000), (4000, 37), (1, 1)])
def test_a_strip_is_cropped_while_it_is_resized(size: tuple[int, int], interpolation: str) -> None:
    """The same grey levels, up to rounding, as resizing all of it and cropping then."""
    image = torch.randint(256, (3, *size), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    transform = EvalTransform(48, crop_ratio=0.875, interpolation=interpolation)
    whole = v2.Compose([v2.Resize(54, interpolation=InterpolationMode(interpolation)), v2.CenterCrop(48)])(image)
    assert torch.equal(transform(image), whole)  # no strip yet: as ever
    difference = (transform._resized_window(image).int() - whole.int()).abs()
    assert difference.max() <= 2 and difference.float().mean() < 0.05


def test_a_strip_takes_no_memory() -> None:
    """1 x 4000 pixels would become 256 x 1024000, 0.8 GB."""
    program = (
        "import resource, torch\n"
        "from hma_ft.data.transforms import EvalTransform\n"
        "transform = EvalTransform(224, crop_ratio=0.875, interpolation='bicubic')\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10\n"
        "transform(torch.zeros(3, 300, 400, dtype=torch.uint8))\n"
        "before, ramp = peak(), torch.linspace(0, 255, 4000).to(torch.uint8)\n"
        "for image in (ramp.expand(3, 1, 4000), ramp[:, None].expand(3, 4000, 1)):\n"
        "    assert transform(image).shape == (3, 224, 224)\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 50  # MiB


def test_training_views_are_seeded_and_differ() -> None:
    transform = TrainTransform(AugmentConfig(image_size=32), interpolation="bicubic", fill=(0, 0, 0))
    views = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        views.append(transform(smooth_image()))
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])
    assert views[0].shape == (3, 32, 32)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side_by_side", [True, False], ids=["channels_last", "planar"])
def test_training_views_are_torchvisions_bit_for_bit(interpolation: str, side_by_side: bool) -> None:
    size = 32
    own = TrainTransform(AugmentConfig(image_size=size), interpolation=interpolation, fill=(0, 0, 0))
    filter_ = InterpolationMode(interpolation)
    theirs = v2.Compose([v2.RandomResizedCrop(size, interpolation=filter_), v2.RandomHorizontalFlip()])
    for seed in range(30):
        noise = torch.randint(256, (40 + seed, 61, 3), generator=torch.Generator().manual_seed(seed)).to(torch.uint8)
        image = noise.permute(2, 0, 1) if side_by_side else noise.permute(2, 0, 1).contiguous()
        torch.manual_seed(seed)
        expected, state = theirs(image), torch.random.get_rng_state()
        torch.manual_seed(seed)
        assert torch.equal(own(image), expected)
        assert torch.equal(torch.random.get_rng_state(), state)


TIMMS = {Resize.squash: "squash", Resize.pad: "border"}


@pytest.mark.parametrize("resize", TIMMS)
@pytest.mark.parametrize("size", [(90, 120), (100, 41)])
def test_squares_are_timms_up_to_rounding(resize: Resize, size: tuple[int, int]) -> None:
    """In evaluation, and in training without any randomness."""
    image, fill = smooth_image(*size), (11, 22, 33)
    pil = Image.fromarray(image.permute(1, 2, 0).numpy())
    mean = tuple(value / 255 for value in fill)
    theirs = create_transform(
        48, crop_pct=1.0, crop_mode=TIMMS[resize], mean=mean, std=(1, 1, 1), interpolation="bicubic"
    )
    expected = theirs(pil) + torch.tensor(mean).view(3, 1, 1)
    evaluated = EvalTransform(48, crop_ratio=1.0, interpolation="bicubic", resize=resize, fill=fill)(image)
    config = AugmentConfig(image_size=48, resize=resize, crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0)
    trained = TrainTransform(config, interpolation="bicubic", fill=fill)(image)
    for view in (evaluated, trained):
        assert view.shape == (3, 48, 48) and view.dtype == torch.uint8
        difference = (view.float() / 255 - expected).abs()
        assert difference.max() < 2.5 / 255 and difference.mean() < 0.6 / 255


@pytest.mark.parametrize("resize", TIMMS)
def test_a_crop_of_a_square_is_that_of_the_whole_one(resize: Resize) -> None:
    """Against torchvision's crop of the padded, or the squashed, image."""
    image, fill = smooth_image(120, 60), (11, 22, 33)
    theirs = v2.RandomResizedCrop(32, interpolation=InterpolationMode.BICUBIC)
    if resize is Resize.pad:
        square = v2.functional.pad(image, [30, 0, 30, 0], fill=list(fill))
    else:
        square = v2.functional.resize(image, [120, 120], interpolation=InterpolationMode.BICUBIC, antialias=True)
    own = TrainTransform(AugmentConfig(image_size=32, resize=resize, flip=0.0), interpolation="bicubic", fill=fill)
    for seed in range(10):
        torch.manual_seed(seed)
        expected = theirs(square)
        torch.manual_seed(seed)
        difference = (own(image).float() - expected.float()).abs()
        assert (difference > 10).float().mean() < 0.13  # two columns of 32 where padding begins and ends


def test_no_augmentation_is_a_resize() -> None:
    config = AugmentConfig(image_size=30, crop_scale=[1.0, 1.0], crop_ratio=[4 / 3, 4 / 3], flip=0.0)
    own = TrainTransform(config, interpolation="bicubic", fill=(0, 0, 0))(smooth_image(90, 120))
    pil = Image.fromarray(smooth_image(90, 120).permute(1, 2, 0).numpy()).resize((30, 30), Image.Resampling.BICUBIC)
    assert np.abs(own.permute(1, 2, 0).numpy().astype(int) - np.asarray(pil).astype(int)).max() <= 2


def test_erased_parts_have_the_fill() -> None:
    config = AugmentConfig(image_size=32, random_erasing=1.0, flip=0.0)
    view = TrainTransform(config, interpolation="bicubic", fill=(11, 22, 33))(smooth_image())
    erased = (view == torch.tensor([11, 22, 33], dtype=torch.uint8).view(3, 1, 1)).all(0)
    assert 0.015 < erased.float().mean() < 0.4


@pytest.mark.parametrize(
    "changes",
    [
        {"affine_degrees": 40.0},
        {"affine_translate": 0.4},
        {"affine_scale": 0.5},
        {"auto_augment": "randaugment", "randaugment_ops": 1, "randaugment_magnitude": 20},
        {"auto_augment": "trivialaugment"},
    ],
    ids=lambda changes: next(iter(changes.values())) if "auto_augment" in changes else next(iter(changes)),
)
def test_what_comes_in_from_outside_has_the_fill(changes: dict[str, Any]) -> None:
    """An image all of the fill's colour stays of one colour, whatever one operation does to it."""
    colour = torch.tensor([124, 117, 104], dtype=torch.uint8).view(3, 1, 1)
    config = AugmentConfig(image_size=32, crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0, **changes)
    transform = TrainTransform(config, interpolation="bicubic", fill=colour.flatten().tolist())
    moved = 0
    for seed in range(40):
        torch.manual_seed(seed)
        view = transform(colour.expand(3, 32, 32).clone())
        assert torch.equal(view, view[:, :1, :1].expand_as(view)), seed
        torch.manual_seed(seed)
        moved += not torch.equal(transform(smooth_image(32, 32)), smooth_image(32, 32))
    assert moved > 10


def test_an_affine_map_is_torchvisions_and_the_fill_outside() -> None:
    config = AugmentConfig(image_size=32, affine_degrees=20.0, affine_translate=0.2, affine_scale=0.1)
    own = TrainTransform(config, interpolation="bicubic", fill=(9, 9, 9)).steps[1]
    theirs = v2.RandomAffine(20.0, (0.2, 0.2), (0.9, 1.1), interpolation=InterpolationMode.BILINEAR)
    for seed in range(10):
        results = []
        for transform, image in (
            (own, smooth_image(32, 32)),
            (theirs, smooth_image(32, 32)),
            (theirs, torch.full((3, 32, 32), 255, dtype=torch.uint8)),
        ):
            torch.manual_seed(seed)
            results.append(transform(image).int())
        view, expected, covered = results  # 255 where the whole pixel lies in the image, 0 where nothing of it does
        assert (covered == 255).float().mean() > 0.4 and (covered == 0).any()
        assert (view - expected)[covered == 255].abs().max() <= 1
        assert (view[covered == 0] == 9).all()


@pytest.mark.parametrize("auto_augment", ["randaugment", "trivialaugment"])
def test_policies_change_the_image(auto_augment: str) -> None:
    plain = AugmentConfig(image_size=32, crop_scale=[1.0, 1.0], flip=0.0)
    changed = 0
    for seed in range(8):
        torch.manual_seed(seed)
        before = TrainTransform(plain, interpolation="bicubic", fill=(0, 0, 0))(smooth_image())
        torch.manual_seed(seed)
        config = AugmentConfig(image_size=32, crop_scale=[1.0, 1.0], flip=0.0, auto_augment=auto_augment)
        after = TrainTransform(config, interpolation="bicubic", fill=(0, 0, 0))(smooth_image())
        assert after.dtype == torch.uint8
        changed += not torch.equal(before, after)
    assert changed >= 5
