"""Keys of a sweep: how its trials are launched, chosen and compared."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TuneConfig:
    """The choosing stage: each method's own grid, tried with seeds of its own; val decides."""

    seeds: list[int] = field(default_factory=list)  # none of the comparison's; empty: nothing is chosen
    grids: dict[str, Any] = field(default_factory=dict)  # method: {setting: [values]}, and `pairs`
    extend: int = 2  # times that a grid may grow whose end val chose
    halving: bool = False  # all points for 1/9 of the steps, the best half for 1/3, and that decides


@dataclass
class SweepConfig:
    """Options of a multirun; `sweep=NAME` chooses a file of sweeps/."""

    name: str | None = None  # null: made from the overrides that are swept
    dry_run: bool = False  # print the trials and launch nothing
    wait: bool = True  # false: return with job ids
    fail_fast: bool = False  # stop the sweep at its first failure
    pairs: list[list[str]] = field(default_factory=list)  # overrides that go together: each list once a combination
    seeds: list[int] = field(default_factory=list)  # of the comparison, unless the command gives seed=
    max_seeds: dict[str, int] = field(default_factory=dict)  # method: takes at most so many of them
    tune: TuneConfig = field(default_factory=TuneConfig)
    compare: bool = False  # at the end, compare the methods: sentences, table, report.html, MLflow
    baseline: str = "head"  # that the others are compared with
    budget_minutes: float | None = None  # of the whole sweep: the most expensive methods are left out until it fits
