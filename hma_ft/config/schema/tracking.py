"""Keys of conf/tracking and of a sweep."""

from dataclasses import dataclass


@dataclass
class TrackingConfig:
    """MLflow beside the run directory, which is the record."""

    mlflow: bool = True
    uri: str | None = None  # null: sqlite beside the runs
    experiment: str = "hma-${dataset.name}"
    log_weights: bool = False  # the best weights as an MLflow model, which `mlflow models serve` serves
    system_metrics: bool = False


@dataclass
class SweepConfig:
    """Options of a multirun; `sweep=NAME` chooses a file of sweeps/."""

    name: str | None = None  # null: made from the overrides that are swept
    dry_run: bool = False  # print the trials and launch nothing
    wait: bool = True  # false: return with job ids
    fail_fast: bool = False  # stop the sweep at its first failure
