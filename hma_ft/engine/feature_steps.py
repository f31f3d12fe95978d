"""Training steps out of a feature store: what is there is read, what is not is computed and stored."""

import time
from collections.abc import Callable, Iterator, Sequence

import torch
from accelerate import Accelerator

from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.inputs import StepInput
from hma_ft.methods.base import Method

POLL_SECONDS = 0.02


def feature_steps(
    store: FeatureStore,
    image_steps: Callable[[int], Iterator[Sequence[StepInput]]],
    method: Method,
    accelerator: Accelerator,
    *,
    start_step: int,
    max_steps: int,
) -> Iterator[Sequence[StepInput]]:
    """The steps from `start_step` on, features in place of images.

    `image_steps(step)` starts the loader at a step; it is started at the first step that nobody has computed and
    nobody else is computing.
    """
    step = start_step
    while step < max_steps:
        stored = store.read_step(step)
        if stored is not None:
            batches = stored.micro_batches
            yield [StepInput(*(tensor.to(accelerator.device) for tensor in batch)) for batch in batches]
            step += 1
            continue
        with store.producing() as mine:
            if not mine:
                time.sleep(POLL_SECONDS)
                continue
            started = time.perf_counter()
            for micro_batches in image_steps(step):
                computed = [_with_features(batch, method, accelerator) for batch in micro_batches]
                if accelerator.device.type == "cuda":
                    torch.cuda.synchronize(accelerator.device)  # as writing would
                store.write_step(step, computed, seconds=time.perf_counter() - started)
                yield computed
                step += 1
                started = time.perf_counter()  # the step itself is not part of the next one's features


@torch.no_grad()
def _with_features(batch: StepInput, method: Method, accelerator: Accelerator) -> StepInput:
    with accelerator.autocast():
        features = method.features(batch.inputs)
    return batch._replace(inputs=features)
