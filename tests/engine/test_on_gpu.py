"""What only a GPU can show: copies beside the computation, and steps that never make the host wait."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator

from hma_ft.config.schema import AugmentConfig, OptimizerConfig
from hma_ft.data.batch import Batch
from hma_ft.engine.device_copy import DeviceCopy
from hma_ft.engine.inputs import image_steps
from hma_ft.engine.optimizer import create_optimizer
from hma_ft.engine.train_step import TrainStep
from tests.methods.conftest import CLASSES, build

__all__ = ["build"]  # a fixture

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
WARM_UP, STEPS = 3, 4  # the first steps allocate


def batches(count: int) -> Iterator[Batch]:
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        images = torch.randint(256, (8, 3, 16, 16), dtype=torch.uint8, generator=generator)
        yield Batch(images, torch.randint(CLASSES, (8,), generator=generator), torch.arange(8) + 8 * number)


def test_on_a_cpu_a_batch_stays_where_it_is() -> None:
    (batch,) = batches(1)
    assert all(own is other for own, other in zip(DeviceCopy(torch.device("cpu"))(batch), batch, strict=True))


@needs_gpu
def test_copies_arrive_whole_beside_a_busy_stream() -> None:
    to_device, busy = DeviceCopy(torch.device("cuda")), torch.randn(4096, 4096, device="cuda")
    sums = []
    for batch in batches(50):
        for _ in range(5):
            busy = busy @ busy / busy.norm()
        sums.append(to_device(batch.pin_memory()).images.double().sum())
    assert torch.stack(sums).tolist() == [float(batch.images.double().sum()) for batch in batches(50)]


@needs_gpu
@pytest.mark.parametrize("mixing", [0.0, 0.4])
@pytest.mark.parametrize("name", ["full", "hma", "hma_head"])
def test_a_step_never_makes_the_host_wait(name: str, mixing: float, build: object) -> None:
    accelerator = Accelerator()
    method = build(name, soft_labels=mixing > 0).to(accelerator.device)
    train_step = TrainStep(method, create_optimizer(method, OptimizerConfig()), accelerator, seed=0, ema_decay=0.999)
    steps = image_steps(
        (batch.pin_memory() for batch in batches(WARM_UP + STEPS)),
        start_step=0,
        micro_batches=1,
        num_classes=CLASSES,
        seed=0,
        augment=AugmentConfig(mixup_alpha=mixing),
        device=accelerator.device,
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            for step, micro_batches in enumerate(steps):
                if step == WARM_UP:
                    torch.cuda.synchronize()
                    said.clear()
                    torch.cuda.set_sync_debug_mode("warn")
                train_step.step(micro_batches, step=step, learning_rate_factor=1.0)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [f"{one.filename}:{one.lineno}" for one in said if "synchroniz" in str(one.message)]
    assert not waits
