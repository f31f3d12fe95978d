"""How long the rest of a sweep takes, from the trials that have finished."""

import json
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hma_ft.launch.stages import Candidate
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep, Trial
from hma_ft.launch.sweep_status import TrialRow
from hma_ft.launch.trial_status import read_trial_status


@dataclass(frozen=True)
class Spent:
    """What one finished trial took, in seconds."""

    wall: float
    features: float  # of its training images, whoever computed them
    training: float
    evaluation: float
    takes_steps: bool

    @property
    def own(self) -> float:
        """Without the features that later trials find in the store: those that this one computed itself."""
        if self.features == 0.0:  # the backbone trains, and nothing is shared
            return self.wall
        if self.wall >= self.features + self.training + self.evaluation:
            return self.wall - self.features - self.evaluation
        return self.wall - self.features if self.wall >= self.features + self.training else self.wall


@dataclass(frozen=True)
class Pace:
    """Seconds of a trial of each candidate, and of the features that the first trial of a seed computes."""

    seconds: dict[str, float]  # by label
    features: dict[str, float]  # by `Candidate.views`
    computed: frozenset[tuple[str, int]]  # views and seeds whose features are stored


def pace(candidates: Sequence[Candidate], rows: Sequence[TrialRow], sweep: Sweep) -> Pace:
    """What the finished trials tell: the quickest of each candidate, since others may have waited for features."""
    views = {candidate.label: candidate.views for candidate in candidates}
    seconds: dict[str, float] = {}
    features: dict[str, float] = {}
    computed = set()
    for row in rows:
        label = row.trial.candidate
        spent = _spent(sweep, row) if row.state is TrialState.finished and label in views else None
        if spent is None:
            continue
        seconds[label] = min(seconds.get(label, spent.own), spent.own)
        if spent.takes_steps and spent.features:
            features[views[label]] = max(features.get(views[label], 0.0), spent.features)
            computed.add((views[label], row.trial.seed))
    return Pace(seconds, features, frozenset(computed))


def to_do(
    candidates: Sequence[Candidate],
    rows: Sequence[TrialRow],
    left_out: Collection[str],
    tune_seeds: Sequence[int],
) -> list[tuple[Candidate, int]]:
    """Candidate and seed of every trial that is still to be done, extensions left out, which nobody knows yet."""
    ended = (TrialState.finished, TrialState.failed)
    found: list[tuple[Candidate, int]] = []
    for candidate in (c for c in candidates if c.label not in left_out):
        mine = [row for row in rows if row.trial.candidate == candidate.label]
        planned = [(candidate, seed) for seed in candidate.seeds]
        if candidate.is_tuned:
            planned += [(candidate, seed) for _ in candidate.grid.points for seed in tune_seeds]
        known = [(candidate, row.trial.seed) for row in mine]
        for attempt in known:
            if attempt in planned:
                planned.remove(attempt)
        found += planned + [(candidate, row.trial.seed) for row in mine if row.state not in ended]
    return found


def seconds_to_do(attempts: Sequence[tuple[Candidate, int]], known: Pace) -> float | None:
    """One trial after the other; None while a candidate has not finished a trial."""
    if any(candidate.label not in known.seconds for candidate, _ in attempts):
        return None
    new = {(candidate.views, seed) for candidate, seed in attempts if candidate.views in known.features}
    features = sum(known.features[views] for views, _ in new - known.computed)
    return features + sum(known.seconds[candidate.label] for candidate, _ in attempts)


def seconds_of_running(rows: Sequence[TrialRow], known: Pace, sweep: Sweep) -> float:
    """How long the running trials have been at it, none longer than such a trial takes."""
    found = 0.0
    for row in rows:
        status = read_trial_status(sweep.trial_directory(row.trial.key)) if row.state is TrialState.running else None
        if status is not None and not status.ended:
            since = time.time() - datetime.fromisoformat(status.started).timestamp()
            found += min(max(0.0, since), known.seconds.get(row.trial.candidate, 0.0))
    return found


def fit_budget(
    attempts: Sequence[tuple[Candidate, int]], known: Pace, *, seconds: float, baseline: str
) -> tuple[list[Candidate], list[tuple[Candidate, int]]]:
    """Leave out the dearest candidates until the rest fits; returns those left out and the attempts that stay."""
    kept = [(candidate, seed) for candidate, seed in attempts if candidate.label in known.seconds]
    left_out: list[Candidate] = []
    while (needed := seconds_to_do(kept, known)) is not None and needed > seconds:
        others = {c.label: c for c, _ in kept if baseline not in (c.label, c.method)}
        if not others:
            break
        dearest = max(others.values(), key=lambda candidate: _saved(candidate, kept, known))
        left_out.append(dearest)
        kept = [(candidate, seed) for candidate, seed in kept if candidate != dearest]
    return left_out, kept


def _saved(dearest: Candidate, attempts: Sequence[tuple[Candidate, int]], known: Pace) -> float:
    """Seconds that go with a candidate: features that others need as well do not."""
    rest = [(candidate, seed) for candidate, seed in attempts if candidate != dearest]
    return (seconds_to_do(attempts, known) or 0.0) - (seconds_to_do(rest, known) or 0.0)


def _spent(sweep: Sweep, row: TrialRow) -> Spent | None:
    trial = row.trial
    result = _result(trial)
    wall = _seconds_in_slot(sweep, trial)
    wall = result.get("time/wall_s") if wall is None else wall
    if wall is None:
        return None
    parts = [_number(result.get(f"time/{name}")) for name in ("features_s", "train_s", "eval_s")]
    features, training, evaluation = parts
    return Spent(wall, features, training, evaluation, takes_steps=row.max_steps > 0)


def _seconds_in_slot(sweep: Sweep, trial: Trial) -> float | None:
    """From the start of the trial's process to its end, if one attempt did it all."""
    status = read_trial_status(sweep.trial_directory(trial.key))
    if status is None or status.state != "finished" or status.attempts > 1 or status.first_step:
        return None
    seconds = (datetime.fromisoformat(status.updated) - datetime.fromisoformat(status.started)).total_seconds()
    return seconds if seconds > 0 else None  # a status from before starts were recorded has none


def _result(trial: Trial) -> dict[str, Any]:
    try:
        return dict(json.loads((Path(trial.directory) / "result.json").read_text()))
    except (OSError, ValueError):
        return {}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value == value else 0.0
