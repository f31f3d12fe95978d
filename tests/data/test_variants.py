"""Few images a class, wrong labels, new classes, corrupted test images: how many, which, how strong."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image

from hma_ft.config.schema import Corruption, DatasetConfig
from hma_ft.data.splits import Splits, load_splits
from hma_ft.data.variants import JPEG_QUALITY, corrupt
from hma_ft.data.views import training_views
from hma_ft.errors import UserError

DIGITS = DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits")


def splits(**changes: object) -> Splits:
    return load_splits(dataclasses.replace(DIGITS, **changes))  # type: ignore[arg-type]


def keys(found: Splits) -> set[str]:
    return {found.train.sample_id(index) for index in range(len(found.train))}


@pytest.fixture(scope="module")
def image() -> Tensor:
    """A smooth grey ramp with a square on it."""
    ramp = torch.linspace(60, 180, 64).expand(3, 48, 64).clone()
    ramp[:, 10:30, 20:40] = 230
    return ramp.round().to(torch.uint8)


def test_few_images_are_balanced_nested_and_drawn_by_the_split_seed() -> None:
    five, ten, other = (splits(train_per_class=n, split_seed=s) for n, s in ((5, 0), (10, 0), (5, 1)))
    assert five.train.labels.bincount().tolist() == [5] * 10
    assert keys(five) < keys(ten) < keys(splits())
    assert keys(other) != keys(five)
    assert five.description["val_digest"] == splits().description["val_digest"]
    with pytest.raises(UserError, match=r"train_per_class=999, but class 0 has \d+ training images"):
        splits(train_per_class=999)


def test_the_share_of_wrong_labels_is_exact_and_only_train_has_them() -> None:
    clean, noisy = splits(), splits(label_noise=0.4)
    assert keys(clean) == keys(noisy)
    wrong = clean.train.labels != noisy.train.labels
    assert int(wrong.sum()) == round(0.4 * len(clean.train))
    assert noisy.train.labels[wrong].unique().tolist() == list(range(10))
    for name in ("val", "test"):
        assert noisy.description[f"{name}_digest"] == clean.description[f"{name}_digest"]
    assert noisy.description["train_digest"] != clean.description["train_digest"]


def test_noise_that_changes_nothing_or_empties_a_class_is_one_line() -> None:
    with pytest.raises(UserError, match=r"label_noise=0.01 of 10 training images is less than one: give at least 0.1"):
        splits(train_per_class=1, label_noise=0.01)
    with pytest.raises(UserError, match=r"label_noise=0.5 leaves class \d without training images"):
        splits(train_per_class=1, label_noise=0.5)


def test_no_step_is_made_of_new_classes_and_val_lacks_them() -> None:
    plain, later, other = (splits(held_out_classes=n, split_seed=s) for n, s in ((0, 0), (3, 0), (3, 1)))
    assert plain.seen_in_training is None and later.seen_in_training is not None and other.seen_in_training is not None
    known = set(later.train.labels[later.seen_in_training].tolist())
    assert len(known) == 7 and known != set(other.train.labels[other.seen_in_training].tolist())
    assert len(later.seen_in_training) == int(torch.isin(plain.train.labels, torch.tensor(sorted(known))).sum())
    assert set(later.val.labels.tolist()) == known
    assert set(later.train.labels.tolist()) == set(later.test.labels.tolist()) == set(range(10))
    for name in ("train", "test"):
        assert later.description[f"{name}_digest"] == plain.description[f"{name}_digest"]
    steps = training_views(
        later.train.labels,
        batch_size=50,
        seed=0,
        start_step=0,
        num_steps=len(later.seen_in_training) // 50,
        seen_in_training=later.seen_in_training,
    )
    seen = torch.tensor([sample for step in steps for _, sample in step])
    assert len(seen.unique()) == len(seen) and set(seen.tolist()) <= set(later.seen_in_training.tolist())
    with pytest.raises(UserError, match=r"held_out_classes=9 of 10 classes: at least two must be left"):
        splits(held_out_classes=9)


def test_only_test_images_are_corrupted_and_their_names_say_so() -> None:
    clean, corrupted = splits(), splits(test_corruption=Corruption.contrast)
    for name in ("train", "val"):
        assert corrupted.description[f"{name}_digest"] == clean.description[f"{name}_digest"]
    assert torch.equal(corrupted.train.load(0), clean.train.load(0))
    assert corrupted.test.sample_id(7) == f"{clean.test.sample_id(7)} (contrast 3)"
    assert torch.equal(corrupted.test.load(7), corrupted.test.load(7))
    assert corrupted.test.load(7).float().std() < 0.3 * clean.test.load(7).float().std()


def test_noise_has_the_standard_deviation_that_it_claims(image: Tensor) -> None:
    flat = torch.full((3, 200, 200), 128, dtype=torch.uint8)
    for severity, sd in ((1, 0.08), (3, 0.18)):
        noisy = corrupt(flat, Corruption.noise, severity, 3).float() / 255
        assert noisy.std().item() == pytest.approx(sd, rel=0.03)
    assert not torch.equal(corrupt(image, Corruption.noise, 1, 0), corrupt(image, Corruption.noise, 1, 1))


def test_blur_is_the_gaussian_of_another_library(image: Tensor) -> None:
    from scipy.ndimage import gaussian_filter

    expected = gaussian_filter(image[0].numpy().astype(float), 3.0, mode="mirror", truncate=4.0)
    ours = corrupt(image, Corruption.blur, 3, 0)[0].numpy()
    assert np.abs(ours - expected).max() <= 1.0
    pil = np.asarray(to_pil_image(image).filter(ImageFilter.GaussianBlur(3)))[:, :, 0].astype(float)
    assert np.abs(ours - pil)[12:-12, 12:-12].mean() < 3.0  # three box filters, only nearly a Gaussian


def test_contrast_keeps_the_mean_and_shrinks_the_rest(image: Tensor) -> None:
    ours = corrupt(image, Corruption.contrast, 4, 0).float()
    values = image.float()
    assert (ours - (values.mean() + 0.1 * (values - values.mean()))).abs().max() <= 0.51


def test_jpeg_loses_what_pillow_loses(image: Tensor) -> None:
    file = io.BytesIO()
    to_pil_image(image).save(file, "JPEG", quality=JPEG_QUALITY[2])
    expected = np.asarray(Image.open(file)).astype(float)
    ours = corrupt(image, Corruption.jpeg, 3, 0).permute(1, 2, 0).numpy().astype(float)
    assert np.abs(ours - expected).mean() < 1.5
    assert np.abs(ours - image.permute(1, 2, 0).numpy()).mean() > 0.5


@pytest.mark.parametrize("size", [(3, 5), (64, 2)])
def test_tiny_images_survive_every_corruption(size: tuple[int, int]) -> None:
    tiny = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    for kind in Corruption:
        if kind is not Corruption.none:
            corrupted = corrupt(tiny, kind, 5, 0)
            assert corrupted.shape == tiny.shape and corrupted.dtype == torch.uint8
