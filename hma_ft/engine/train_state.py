"""Where a run stands."""

import math
from dataclasses import dataclass

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
    train_seconds: float = 0.0  # in steps, with the wait for data
    eval_seconds: float = 0.0
    wall_seconds: float = 0.0  # of all starts, from command to checkpoint
    first_step_seconds: float = 0.0  # from the first start's command to the end of its first step
    rows: int = 0  # of metrics.jsonl

    def improves(self, metrics: Metrics) -> bool:
        """Better val top-1, or the same with a lower loss."""
        return (metrics.top1, -metrics.nll) > (self.best_top1, -self.best_loss)
