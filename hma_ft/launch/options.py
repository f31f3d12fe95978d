"""What the launchers can be told: `hydra/launcher=local` or `slurm`, `hydra.launcher.NAME=VALUE`."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hma_ft.config.schema import SweepConfig


@dataclass
class LocalOptions:
    """Trials as processes of this machine."""

    n_jobs: int | None = None  # trials at a time; null: one a GPU, or one where there is none


@dataclass
class SlurmOptions:
    """A job array. What is null is left to the cluster."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str = "04:00:00"  # limit of one attempt of a trial, as sbatch takes it; a longer trial continues by itself
    warn_seconds: int = 120  # a trial saves and requeues itself that long before the limit
    nodes: int = 1
    tasks_per_node: int = 1  # processes of one trial on each node: its batch is divided among all
    gpus: int | None = None  # a node
    cpus: int = 2  # a task
    memory_gb: float | None = None  # a node
    array_parallelism: int = 64  # trials at a time
    sbatch: dict[str, str] = field(default_factory=dict)  # further options of sbatch: name without dashes, value
    setup: list[str] = field(default_factory=list)  # shell lines before the trial; one that fails ends it


def has_stages(settings: "SweepConfig") -> bool:
    """Whether a sweep chooses on val first, or compares at its end."""
    return bool(settings.tune.seeds or settings.compare or settings.seeds)
