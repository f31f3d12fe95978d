"""Data order: every sample once an epoch, whatever the batch; a pure function of seed and step."""

from collections import Counter

from hma_ft.data.batch_sampler import step_batch


def stream(samples: int, batch: int, seed: int, steps: int) -> list[tuple[int, int]]:
    return [view for step in range(steps) for view in step_batch(samples, batch, seed, step)]


def test_every_sample_once_an_epoch() -> None:
    views = stream(10, 4, 0, 5)
    assert sorted(views) == [(epoch, index) for epoch in (0, 1) for index in range(10)]


def test_a_batch_may_be_larger_than_the_data_set() -> None:
    counts = Counter(index for _, index in step_batch(3, 8, 0, 0))
    assert sorted(counts.values()) == [2, 3, 3]


def test_epochs_and_seeds_differ_and_the_batch_size_does_not_matter() -> None:
    first, second = stream(50, 50, 0, 1), step_batch(50, 50, 0, 1)
    assert [i for _, i in first] != [i for _, i in second]
    assert [i for _, i in first] != [i for _, i in step_batch(50, 50, 1, 0)]
    assert stream(50, 5, 0, 20) == stream(50, 20, 0, 5)
