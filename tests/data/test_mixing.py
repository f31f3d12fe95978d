"""Mixup and cutmix: images and targets are mixed by the same share."""

import pytest
import torch
from torch import Tensor

from hma_ft.data.mixing import mix

CLASSES = 4


def mixed(
    step: int, *, mixup: float = 0.0, cutmix: float = 0.0, smoothing: float = 0.0, count: int = 6
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Images of constant grey (20 times their row), and what mixing makes of them."""
    images = (20 * torch.arange(count)).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 32, 32).contiguous()
    labels = torch.arange(count) % CLASSES
    own = images.clone()
    out, targets, partners = mix(
        images,
        labels,
        CLASSES,
        ids=100 + torch.arange(count),
        mixup_alpha=mixup,
        cutmix_alpha=cutmix,
        label_smoothing=smoothing,
        seed=3,
        step=step,
    )
    return own, out, targets, partners


def test_nothing_on_keeps_class_ids() -> None:
    own, out, targets, partners = mixed(0)
    assert torch.equal(own, out)
    assert targets.tolist() == [0, 1, 2, 3, 0, 1]
    assert partners is None


def test_smoothing_alone() -> None:
    _, _, targets, partners = mixed(0, smoothing=0.1)
    torch.testing.assert_close(targets[1], torch.tensor([0.025, 0.925, 0.025, 0.025]))
    assert partners is None


@pytest.mark.parametrize("step", range(5))
def test_mixup_mixes_neighbours_by_one_share(step: int) -> None:
    own, out, targets, partners = mixed(step, mixup=0.8)
    share = targets[0, 0].item()
    assert 0 < share < 1
    assert partners is not None
    assert partners.tolist() == [101, 100, 103, 102, 105, 104]
    expected = share * own[2].float() + (1 - share) * own[3].float()
    torch.testing.assert_close(out[2].float(), expected, atol=0.51, rtol=0)
    torch.testing.assert_close(targets[3], torch.tensor([0.0, 0.0, 1 - share, share]))


@pytest.mark.parametrize("step", range(5))
def test_cutmix_targets_are_the_shares_of_the_area(step: int) -> None:
    own, out, targets, _ = mixed(step, cutmix=1.0)
    kept = (out[4] == own[4]).float().mean().item()
    assert ((out[4] == own[4]) | (out[4] == own[5])).all()
    torch.testing.assert_close(targets[4], torch.tensor([kept, 1 - kept, 0.0, 0.0]))


def test_steps_differ_and_both_kinds_occur() -> None:
    kinds, shares = set(), set()
    for step in range(20):
        own, out, targets, _ = mixed(step, mixup=0.8, cutmix=1.0)
        pasted = bool(((out[2] == own[2]) | (out[2] == own[3])).all())
        kinds.add(pasted)
        shares.add(round(targets[2, 2].item(), 6))
    assert kinds == {True, False}
    assert len(shares) > 10


def test_the_last_of_an_odd_batch_stays() -> None:
    own, out, targets, partners = mixed(1, mixup=0.8, count=5)
    assert torch.equal(out[4], own[4])
    assert targets[4].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert partners is not None
    assert partners[4] == 104


def test_the_share_is_drawn_from_beta() -> None:
    """Mean 1/2 and variance 1/12 of Beta(1, 1)."""
    shares = torch.tensor([mixed(step, mixup=1.0, count=2)[2][0, 0].item() for step in range(400)])
    assert abs(shares.mean() - 0.5) < 0.06
    assert abs(shares.var() - 1 / 12) < 0.02


def test_processes_mix_alike() -> None:
    _, whole, targets, _ = mixed(2, mixup=0.8, cutmix=1.0, count=8)
    _, half, half_targets, _ = mixed(2, mixup=0.8, cutmix=1.0, count=4)
    assert torch.equal(whole[:4], half)
    assert torch.equal(targets[:4], half_targets)


def test_torchs_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    mixed(0, mixup=0.8, cutmix=1.0)
    assert torch.equal(torch.random.get_rng_state(), before)
