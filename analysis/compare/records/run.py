"""What the comparison knows of a run and of a sweep, wherever it was read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hma_ft.mlflow_sync.content import params
from hma_ft.rundir.metric_log import Row


@dataclass(frozen=True)
class Predictions:
    """Test predictions of one run, in ascending order of sample ids."""

    ids: np.ndarray  # int64 [N]
    labels: np.ndarray  # int64 [N]
    predicted: np.ndarray  # int64 [N], the class of the largest probability
    class_names: list[str]
    probabilities: np.ndarray | None = None  # float32 [N, C]; an archive has none
    keys: np.ndarray | None = None  # int64 [N], equal for the same image in any split; older records have none
    groups: np.ndarray | None = None  # int64 [N], equal for images of one patient, camera or site; None: not known

    @property
    def correct(self) -> np.ndarray:
        """bool [N]."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class Run:
    """One finished run."""

    name: str
    place: str  # directory, or MLflow run id
    fingerprint: str
    params: dict[str, str]  # the configuration, flat, as MLflow's params, with the method's recipe
    result: dict[str, Any]  # keys of result.json
    data: dict[str, Any]  # data.json: sizes and digests of the splits
    env: dict[str, Any]  # env.json
    read_rows: Callable[[], list[Row]] = field(repr=False)  # of metrics.jsonl; an archive has none
    read_predictions: Callable[[str], Predictions | None] = field(repr=False)  # by suffix: "", "_batch"
    archive: str = ""  # the file it comes out of; empty of a run that is there itself

    def predictions(self, mode: str | None) -> Predictions | None:
        """Test predictions in an inference mode; None is the headline mode, and the only one of many methods."""
        own = mode is not None and f"test_{mode}/top1" in self.result
        return self.read_predictions(f"_{mode}" if own else "")


@dataclass(frozen=True)
class Sweep:
    """A sweep: the runs whose fingerprints start with one of `keys`, of its archive where it comes out of one.

    Sweeps share runs of equal settings, and two archives may hold one run as made by different commits.
    """

    name: str
    identity: str  # name and digest of the trials
    keys: frozenset[str]
    trials: int
    archive: str = ""


def settings_of(config: dict[str, Any]) -> dict[str, str]:
    """A configuration, flat, as MLflow's params; with the method's recipe, which those leave out."""
    recipe = params({"recipe": (config.get("method") or {}).get("recipe") or {}})
    return params(config) | {f"method.{key}": value for key, value in recipe.items() if "." in key}
