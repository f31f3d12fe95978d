"""What the seconds of a run were spent on, by one rule for every method.

Features of a frozen backbone cost what computing them took, whoever computed them: an entry of the feature store counts
with the seconds that are recorded in it, and reading it, or waiting until another run has written it, counts for
nothing. So the sum of features, training and evaluation is what a method costs from nothing, in every order of trials.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import psutil


class Spent(StrEnum):
    """What time is spent on; names of the fields of Costs."""

    start = "start"
    features = "features"
    training = "training"
    evaluation = "evaluation"
    nothing = "nothing"  # that belongs to the method: checkpoints, logs, reading stored features, waiting


@dataclass
class Costs:
    """Seconds, added up over all starts of a run; nan where a run began before these were kept apart."""

    start: float = 0.0  # from the command to the first step: imports, data, model
    features: float = 0.0  # training images through a frozen backbone, loading and augmentation included
    training: float = 0.0  # steps or fit; where the backbone trains, all that a step needs
    evaluation: float = 0.0  # val and test, with their features, in every inference mode

    @property
    def from_nothing(self) -> float:
        """What the method costs. The start depends on how a run was launched and is not part of it."""
        return self.features + self.training + self.evaluation

    @property
    def steps(self) -> float:
        """Training with its features, by which speed is measured."""
        return self.training + (0.0 if math.isnan(self.features) else self.features)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Take the costs out of a checkpoint's counters; those from before costs were kept apart can't tell all."""
        if "costs" in state:
            return cls(**state.pop("costs"))
        return cls(math.nan, math.nan, state.pop("train_seconds"), state.pop("eval_seconds"))


class CostClock:
    """A stop watch that counts each moment once: `with clock.on(...)` inside another halts the outer one."""

    def __init__(self) -> None:
        self.costs = Costs()
        self._spent = Spent.nothing
        self._since = time.perf_counter()

    def go_on_from(self, costs: Costs) -> None:
        """Count from now on into the costs of earlier starts."""
        self.update()
        self.costs = costs

    @contextmanager
    def on(self, spent: Spent) -> Iterator[None]:
        """Time in this context is spent on that."""
        self.update()
        outer, self._spent = self._spent, spent
        try:
            yield
        finally:
            self.update()
            self._spent = outer

    def count(self, spent: Spent, seconds: float) -> None:
        """Add time that was spent elsewhere, such as by the run that stored what this one reads."""
        if spent is not Spent.nothing:
            setattr(self.costs, spent, getattr(self.costs, spent) + seconds)

    def update(self) -> None:
        """Bring `costs` up to this moment."""
        now = time.perf_counter()
        self.count(self._spent, now - self._since)
        self._since = now


def seconds_since_start() -> float:
    """Seconds since this process was started, imports included."""
    return time.time() - psutil.Process().create_time()
