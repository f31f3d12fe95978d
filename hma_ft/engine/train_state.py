"""Where a run stands."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

from hma_ft.engine.costs import Costs
from hma_ft.engine.metrics import Metrics


@dataclass
class TrainState:
    """The counters of a run; a checkpoint holds them. Seconds add up over all starts of the run."""

    step: int = 0  # optimizer steps done
    evaluated_step: int = 0  # the last one after which val was evaluated
    best_step: int = 0
    best_top1: float = -1.0
    best_loss: float = math.inf
    best_file: str = ""  # in checkpoints/
    costs: Costs = field(default_factory=Costs)
    wall_seconds: float = 0.0  # of all starts, from command to checkpoint
    first_step_seconds: float = 0.0  # from the first start's command to the end of its first step
    rows: int = 0  # of metrics.jsonl

    @classmethod
    def from_checkpoint(cls, content: dict[str, Any]) -> Self:
        """Take the counters out of a checkpoint that holds them as a dict."""
        counters = dict(content)
        costs = Costs.from_state(counters)
        return cls(**counters, costs=costs)

    def improves(self, metrics: Metrics) -> bool:
        """Better val top-1, or the same with a lower loss."""
        return (metrics.top1, -metrics.nll) > (self.best_top1, -self.best_loss)
