"""Successive halving: short runs of every point of a grid, longer ones of the best half, the choice among those.

Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization" (AISTATS 2016), section
3. A short run is a run of its own, whose learning rate decays to its end, and not the beginning of a long one: cut off
in the middle of a cosine, high rates look worse than they are.
"""

import math
from dataclasses import dataclass

from hma_ft.launch.grid import Point

SHARES = (1 / 9, 1 / 3)  # of the steps, rung by rung; the last decides
SHORTENED = ("trainer.max_steps", "scheduler.warmup_steps")
_KEPT = 1 / 2  # share of the points that goes on; fewer, and rates that show late are lost
_LEAST = 2  # points that go on, where there are as many


@dataclass(frozen=True)
class Length:
    """How long a candidate trains; no steps where it is fitted."""

    steps: int = 0
    warmup_steps: int = 0

    def shortened(self, point: Point, share: float) -> Point:
        """The point with a share of the steps and of the warm-up, one step at least; what is fitted stays as it is."""
        if share == 1.0 or not self.steps:
            return point
        steps = max(1, round(share * self.steps))
        warmup = min(round(share * self.warmup_steps), steps - 1)
        return {**point, **dict(zip(SHORTENED, (steps, warmup), strict=True))}


def survivors(points: int) -> int:
    """How many of so many points go on to the next rung."""
    return min(points, max(_LEAST, math.ceil(_KEPT * points)))
