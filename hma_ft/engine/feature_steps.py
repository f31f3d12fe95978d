"""Training steps on features of a frozen backbone: what a store has is read, what it lacks is computed and stored."""

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from accelerate import Accelerator

from hma_ft.engine.costs import CostClock, Spent
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.inputs import MicroBatch
from hma_ft.methods.base import Method

POLL_SECONDS = 0.02
ImageSteps = Callable[[int], Iterator[Sequence[MicroBatch]]]


def feature_steps(
    store: FeatureStore | None,
    image_steps: ImageSteps,
    method: Method,
    accelerator: Accelerator,
    clock: CostClock,
    *,
    start_step: int,
    max_steps: int,
) -> Iterator[Sequence[MicroBatch]]:
    """The steps from `start_step` on, features in place of images.

    `image_steps(step)` starts the loader at a step; it is started at the first step that nobody has computed and
    nobody else is computing. Without a store every step is computed. `clock` counts as features what computing them
    took, here or in the run that stored them.
    """
    step = start_step
    while step < max_steps:
        if store is None:
            yield from (batches for batches, _ in _computed(image_steps(step), method, accelerator, clock))
            return
        with clock.on(Spent.nothing):
            stored = store.read_step(step)
        if stored is not None:
            clock.count(Spent.features, stored.seconds)
            batches = stored.micro_batches
            yield [MicroBatch(*(tensor.to(accelerator.device) for tensor in batch)) for batch in batches]
            step += 1
            continue
        with store.producing() as mine:
            if not mine:
                with clock.on(Spent.nothing):
                    time.sleep(POLL_SECONDS)
                continue
            for computed, seconds in _computed(image_steps(step), method, accelerator, clock):
                with clock.on(Spent.nothing):
                    store.write_step(step, computed, seconds=seconds)
                yield computed
                step += 1


def _computed(
    image_steps: Iterator[Sequence[MicroBatch]], method: Method, accelerator: Accelerator, clock: CostClock
) -> Iterator[tuple[list[MicroBatch], float]]:
    """Steps with features, and the seconds that loading and computing each took."""
    while True:
        with clock.on(Spent.nothing):  # the same number is counted here and stored
            started = time.perf_counter()
            micro_batches = next(image_steps, None)
            if micro_batches is None:
                return
            computed = [_with_features(batch, method, accelerator) for batch in micro_batches]
            if accelerator.device.type == "cuda":
                torch.cuda.synchronize(accelerator.device)
            seconds = time.perf_counter() - started
        clock.count(Spent.features, seconds)
        yield computed, seconds


@torch.no_grad()
def _with_features(batch: MicroBatch, method: Method, accelerator: Accelerator) -> MicroBatch:
    with accelerator.autocast():
        features = method.features(batch.inputs)
    return batch._replace(inputs=features)
