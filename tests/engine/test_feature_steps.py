"""Steps out of a store: what they hold, and the seconds that they are said to have taken."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from hma_ft.engine.costs import CostClock
from hma_ft.engine.feature_steps import feature_steps
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.inputs import MicroBatch
from hma_ft.methods.base import Method

LOADING, TRAINING = 0.05, 1.0  # seconds a step


class Doubled(nn.Module):
    """Features that are easy to know."""

    def features(self, images: Tensor) -> Tensor:
        return 2.0 * images.flatten(1)


def image_steps(first: int) -> Iterator[Sequence[MicroBatch]]:
    for step in range(first, 3):
        time.sleep(LOADING)
        yield [MicroBatch(torch.full((2, 1, 2, 2), float(step)), torch.tensor([0, 1]), torch.tensor([0, 1]))]


def test_the_seconds_of_a_step_are_those_of_its_features(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, {}, limit_bytes=10**9)
    method, accelerator = cast(Method, Doubled()), Accelerator(cpu=True)
    counted = []
    for training in (TRAINING, 0.0):  # the second time the steps are read
        clock = CostClock()
        steps = feature_steps(store, image_steps, method, accelerator, clock, start_step=0, max_steps=3)
        for number, (batch,) in enumerate(steps):
            assert torch.equal(batch.inputs, torch.full((2, 4), 2.0 * number))
            time.sleep(training)
        counted.append(clock.costs.features)
    for number in range(3):
        stored = store.read_step(number)
        assert stored is not None
        assert LOADING <= stored.seconds < TRAINING
    assert counted[0] == counted[1] >= 3 * LOADING  # what the steps cost, whoever computed them


def test_without_a_store_every_step_is_computed_and_counted() -> None:
    method, accelerator, clock = cast(Method, Doubled()), Accelerator(cpu=True), CostClock()
    steps = list(feature_steps(None, image_steps, method, accelerator, clock, start_step=1, max_steps=3))
    assert [float(batch.inputs[0, 0]) for (batch,) in steps] == [2.0, 4.0]
    assert clock.costs.features >= 2 * LOADING and clock.costs.training == 0.0
