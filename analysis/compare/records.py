"""What the comparison knows of a run and of a sweep, wherever it was read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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

    @property
    def correct(self) -> np.ndarray:
        """bool [N]."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class RunData:
    """One finished run."""

    name: str
    place: str  # directory, or MLflow run id
    fingerprint: str
    params: dict[str, str]  # the configuration, flat, as MLflow's params
    result: dict[str, Any]  # keys of result.json
    data: dict[str, Any]  # data.json: sizes and digests of the splits
    env: dict[str, Any]  # env.json
    read_rows: Callable[[], list[Row]] = field(repr=False)  # of metrics.jsonl; an archive has none
    read_predictions: Callable[[str], Predictions | None] = field(repr=False)  # by suffix: "", "_batch"
    archive: str = ""  # the file it comes out of; empty of a run that is there itself

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.params.get("dataset.name", "")

    @property
    def seed(self) -> str:
        """The seed, as text."""
        return self.params.get("seed", "")

    @property
    def requires_training(self) -> bool:
        """Whether steps and learning rate mean anything; false of nearest neighbours."""
        return self.result.get("params/trainable") != 0

    def suffix(self, mode: str | None) -> str:
        """What follows the split in the keys of an inference mode; None is the headline mode.

        A method with one mode predicts from single images: whatever is asked, it gives that.
        """
        return f"_{mode}" if mode is not None and f"test_{mode}/top1" in self.result else ""

    def has_mode(self, mode: str) -> bool:
        """Whether the run was evaluated in this inference mode, rather than having one only."""
        return self.result.get("inference") == mode or f"test_{mode}/top1" in self.result

    @property
    def has_costs(self) -> bool:
        """Whether features, training and evaluation were timed apart; before, a time depended on the order of runs."""
        return isinstance(self.result.get("time/from_nothing_s"), (int, float))

    def cost(self, key: str) -> float:
        """A number of parameters, bytes or seconds; nan of times that were not kept apart."""
        return self.figure(key) if self.has_costs or not key.startswith("time/") else float("nan")

    def figure(self, key: str) -> float:
        """A number of the result; nan where it is absent or was not finite."""
        value = self.result.get(key)
        return float(value) if isinstance(value, (int, float)) else float("nan")

    def score(self, split: str, metric: str, mode: str | None) -> float:
        """`val` or `test` figure in an inference mode."""
        return self.figure(f"{split}{self.suffix(mode)}/{metric}")


@dataclass(frozen=True)
class SweepData:
    """A sweep: the runs whose fingerprints start with one of `keys`, of its archive where it comes out of one.

    Sweeps share runs of equal settings, and two archives may hold one run as made by different commits.
    """

    name: str
    identity: str  # name and digest of the trials
    keys: frozenset[str]
    trials: int
    archive: str = ""


@dataclass(frozen=True)
class Records:
    """All that a source has."""

    source: str
    runs: list[RunData]  # finished ones
    sweeps: list[SweepData]  # the latest first
    unfinished: list[str]  # names of the others
