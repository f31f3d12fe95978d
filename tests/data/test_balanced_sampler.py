"""Steps of equally many images of each class."""

from collections import Counter

import torch

from hma_ft.data.balanced_sampler import BalancedSampler

LABELS = torch.arange(3).repeat_interleave(torch.tensor([60, 31, 9]))


def epoch(number: int, seed: int = 0) -> list[tuple[int, int]]:
    return BalancedSampler(LABELS, seed).step_batch(100, number)


def test_an_epoch_has_equal_shares_and_every_image_of_small_classes() -> None:
    views = epoch(0)
    counts = Counter(int(LABELS[place]) for _, place in views)
    assert sorted(counts.values()) == [33, 33, 34] and len(views) == 100
    times = Counter(place for _, place in views)
    assert all(3 <= times[place] <= 4 for place in range(91, 100))
    assert all(1 <= times[place] <= 2 for place in range(60, 91))
    assert max(times[place] for place in range(60)) == 1


def test_a_repeated_image_has_views_of_its_own() -> None:
    views = epoch(0) + epoch(1)
    assert len(set(views)) == 200


def test_large_classes_show_other_images_in_other_epochs() -> None:
    seen = {place for number in range(6) for _, place in epoch(number) if place < 60}
    assert len(seen) > 55


def test_it_is_a_function_of_seed_and_step_alone() -> None:
    sampler = BalancedSampler(LABELS, 0)
    steps = [sampler.step_batch(32, step) for step in range(10)]
    torch.manual_seed(1)
    again = BalancedSampler(LABELS, 0)
    assert [again.step_batch(32, step) for step in (9, 0, 4)] == [steps[9], steps[0], steps[4]]
    assert steps[0] != BalancedSampler(LABELS, 1).step_batch(32, 0)
