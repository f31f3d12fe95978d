"""Keys of conf/tracking."""

from dataclasses import dataclass


@dataclass
class TrackingConfig:
    """MLflow beside the run directory, which is the record."""

    mlflow: bool = True
    uri: str | None = None  # null: sqlite beside the runs
    experiment: str = "hma-${dataset.name}"
    log_weights: bool = False  # the best weights as an MLflow model, which `mlflow models serve` serves
    system_metrics: bool = False
