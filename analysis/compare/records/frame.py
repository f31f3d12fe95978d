"""One tidy DataFrame, a row a run: all groups and tables are made from it.

Settings have the dotted names of the configuration (`optimizer.lr`) and are text, nan where a record lacks them.
Metrics have the names of result.json with a slash (`test/top1`) and are numbers. Other columns are provenance; `run` is
the record itself, for its predictions and its curves.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from analysis.compare.records.run import Run, Sweep

TIMED = "time/from_nothing_s"  # of records that have features, training and evaluation apart
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Records:
    """All that a source has."""

    source: str
    runs: list[Run]  # finished ones
    sweeps: list[Sweep]  # the latest first
    unfinished: list[str]  # names of the others

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The finished runs, a row each."""
        return runs_frame(self.runs)


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """The tidy frame of some runs."""
    settings = pd.DataFrame([run.params for run in runs], dtype=object)
    metrics = pd.DataFrame([{k: v for k, v in run.result.items() if "/" in k} for run in runs])
    provenance = pd.DataFrame([_provenance(run) for run in runs], dtype=object)
    return pd.concat([provenance, settings, metrics.apply(pd.to_numeric, errors="coerce")], axis=1)


def _provenance(run: Run) -> dict[str, Any]:
    git, packages = run.env.get("git") or {}, run.env.get("packages") or {}
    changes = git.get("diff") or ""
    commit = str(git.get("commit") or "unknown")[:12]
    if changes:
        commit += f" with changes {hashlib.sha256(changes.encode()).hexdigest()[:8]}"
    row = {"run": run, "name": run.name, "place": run.place, "fingerprint": run.fingerprint, "archive": run.archive}
    row |= {"commit": commit, "uncommitted": bool(changes), "inference": run.result.get("inference", np.nan)}
    row |= {name: str(run.env.get(name) or "unknown") for name in ("device", "host")}
    row |= {name: str(packages.get(name, "unknown")) for name in ("torch", "timm")}
    row |= {"weights": run.env.get("weights_sha256") or np.nan}
    row |= {f"{split}_digest": str(run.data.get(f"{split}_digest", "unknown")) for split in _SPLITS}
    return row | {f"{split}_content": run.data.get(f"{split}_content", np.nan) for split in _SPLITS}


def column(runs: pd.DataFrame, name: str) -> pd.Series:
    """A metric, or any other column; all nan where no run has it."""
    return runs[name] if name in runs else pd.Series(np.nan, runs.index)


def setting(runs: pd.DataFrame, key: str) -> pd.Series:
    """A setting as text, `none` where a record lacks it or has null."""
    return as_text(column(runs, key).to_frame(key))[key]


def as_text(settings: pd.DataFrame) -> pd.DataFrame:
    """Settings as `setting` gives them, all columns at once."""
    return settings.astype(object).fillna("none").replace("null", "none")


def score(runs: pd.DataFrame, split: str, metric: str, mode: str | None) -> pd.Series:
    """A metric of a split in an inference mode; None is the headline mode.

    A method with one mode predicts from single images: whatever is asked, it gives that.
    """
    headline = column(runs, f"{split}/{metric}").astype(float)
    own = column(runs, f"test_{mode}/top1").notna()
    return column(runs, f"{split}_{mode}/{metric}").astype(float).where(own, headline)


def has_mode(runs: pd.DataFrame, mode: str) -> pd.Series:
    """Whether each run was evaluated in this inference mode, rather than having one only."""
    return (runs["inference"] == mode) | column(runs, f"test_{mode}/top1").notna()


def headlines(runs: pd.DataFrame) -> list[str]:
    """Headline inference modes of the runs, sorted."""
    return sorted(set(runs["inference"].fillna("alone").astype(str)))


def takes_steps(runs: pd.DataFrame) -> pd.Series:
    """Whether steps and learning rate mean anything; not for nearest neighbours."""
    return column(runs, "params/trainable") != 0


def cost(runs: pd.DataFrame, key: str) -> float:
    """Mean parameters, bytes or seconds; nan where one run lacks them, as a mean of some is of no use.

    Times count where features, training and evaluation were timed apart; before, they depended on the order of runs.
    """
    values = column(runs, key)
    timed = values.where(column(runs, TIMED).notna()) if key.startswith("time/") else values
    return float(timed.mean(skipna=False))
