"""The learning rate as a pure function of the step."""

import math

from hma_ft.config.schema import SchedulerConfig


def learning_rate_factor(config: SchedulerConfig, step: int, max_steps: int) -> float:
    """What the base learning rate is multiplied by at `step`, counted from 0.

    Linear warm-up from 1/warmup_steps to 1, then half a cosine down to 0 at `max_steps`, or constant.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.name == "constant":
        return 1.0
    progress = (step - config.warmup_steps) / max(1, max_steps - config.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * progress))
