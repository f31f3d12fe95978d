"""The learning rate against torch's own schedulers."""

import pytest
import torch
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR

from hma_ft.config.schema import SchedulerConfig
from hma_ft.engine.schedule import learning_rate_factor


@pytest.mark.parametrize("name", ["cosine", "constant"])
@pytest.mark.parametrize("warmup_steps", [2, 10])
def test_agrees_with_torch(name: str, warmup_steps: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    after = (
        CosineAnnealingLR(optimizer, T_max=40 - warmup_steps)
        if name == "cosine"
        else ConstantLR(optimizer, factor=1.0, total_iters=1)
    )
    warmup = LinearLR(optimizer, start_factor=1 / warmup_steps, total_iters=warmup_steps - 1)
    scheduler = SequentialLR(optimizer, [warmup, after], milestones=[warmup_steps])
    for step in range(40):
        factor = learning_rate_factor(SchedulerConfig(name=name, warmup_steps=warmup_steps), step, 40)
        assert factor == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9), step
        optimizer.step()
        scheduler.step()


def test_without_warmup_it_starts_in_full_and_ends_at_zero() -> None:
    config = SchedulerConfig(name="cosine", warmup_steps=0)
    assert learning_rate_factor(config, 0, 100) == 1.0
    assert learning_rate_factor(config, 50, 100) == pytest.approx(0.5)
    assert learning_rate_factor(config, 100, 100) == pytest.approx(0.0)
