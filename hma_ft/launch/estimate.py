"""How long the rest of a sweep takes, from the trials that have finished."""

import json
import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from hma_ft.launch.candidates import Candidate
from hma_ft.launch.choosing import Tuning
from hma_ft.launch.halving import survivors
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep, Trial
from hma_ft.launch.sweep_status import TrialRow
from hma_ft.launch.trial_status import read_trial_status
from hma_ft.launch.view_costs import Planned, ViewCosts


@dataclass(frozen=True)
class Spent:
    """What one finished trial took, in seconds."""

    wall: float
    features: float  # of its training images, whoever computed them
    training: float
    evaluation: float
    images: int = 0  # that training draws from

    @property
    def own(self) -> float:
        """Without the features that later trials find in the store: those that this one computed itself."""
        if self.wall >= self.features + self.training + self.evaluation:
            return self.wall - self.features - self.evaluation
        return self.wall - self.features if self.wall >= self.features + self.training else self.wall


@dataclass(frozen=True)
class Pace:
    """Seconds of a trial of each candidate, and of the features that the first trial of a seed computes."""

    seconds: dict[str, float]  # of a whole trial, by label
    training: dict[str, float] = field(default_factory=dict)  # what of `seconds` goes with the steps
    views: ViewCosts = field(default_factory=ViewCosts)

    def of(self, trial: Planned) -> float:
        """Seconds of a trial."""
        label = trial.candidate.label
        return self.seconds[label] - (1.0 - trial.share) * self.training.get(label, 0.0)


def pace(candidates: Sequence[Candidate], rows: Sequence[TrialRow], sweep: Sweep) -> Pace:
    """What the finished trials tell: the quickest of each candidate, since others may have waited for features."""
    known = {candidate.label: candidate for candidate in candidates}
    found = Pace({})
    for row in rows:
        label, share = row.trial.candidate, row.trial.share
        spent = _spent(sweep, row) if row.state is TrialState.finished and label in known else None
        if spent is None:
            continue
        shares_features = known[label].read_views is not None or not known[label].length.steps
        rest = (spent.own if shares_features else spent.wall) - spent.training
        whole = spent.training / share
        if rest + whole < found.seconds.get(label, math.inf):
            found.seconds[label], found.training[label] = rest + whole, whole
        found.views.learn(Planned(known[label], row.trial.seed, share), spent.features, spent.images)
    return found


def to_do(
    candidates: Sequence[Candidate],
    rows: Sequence[TrialRow],
    left_out: Collection[str],
    tuning: Tuning,
) -> list[Planned]:
    """Every trial that is still to be done, extensions left out, which nobody knows yet."""
    ended = (TrialState.finished, TrialState.failed)
    found: list[Planned] = []
    for candidate in (c for c in candidates if c.label not in left_out):
        mine = [row for row in rows if row.trial.candidate == candidate.label]
        planned = [Planned(candidate, seed) for seed in candidate.seeds]
        if candidate.is_tuned:
            planned += _choosing(candidate, tuning)
        for row in mine:
            known = Planned(candidate, row.trial.seed, row.trial.share)
            if known in planned:
                planned.remove(known)
            if row.state not in ended:
                found.append(known)
        found += planned
    return found


def _choosing(candidate: Candidate, tuning: Tuning) -> list[Planned]:
    """The trials with which a candidate is chosen, rung by rung."""
    found: list[Planned] = []
    points = all_points = len(candidate.grid.points)
    for share in tuning.shares_of(candidate):
        found += [Planned(candidate, seed, share) for _ in range(points) for seed in tuning.seeds]
        points = survivors(all_points)
    return found


def seconds_to_do(trials: Sequence[Planned], known: Pace) -> float | None:
    """One trial after the other; None while a candidate has not finished a trial."""
    if any(trial.candidate.label not in known.seconds for trial in trials):
        return None
    return known.views.of(trials) + sum(map(known.of, trials))


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
    trials: Sequence[Planned], known: Pace, *, seconds: float, baseline: str
) -> tuple[list[Candidate], list[Planned]]:
    """Leave out the dearest candidates until the rest fits; returns those left out and the trials that stay."""
    kept = [trial for trial in trials if trial.candidate.label in known.seconds]
    left_out: list[Candidate] = []
    while (needed := seconds_to_do(kept, known)) is not None and needed > seconds:
        candidates = {trial.candidate.label: trial.candidate for trial in kept}
        others = {label: c for label, c in candidates.items() if baseline not in (label, c.method)}
        if not others:
            break
        dearest = max(others.values(), key=lambda candidate: _saved(candidate, kept, known))
        left_out.append(dearest)
        kept = [trial for trial in kept if trial.candidate != dearest]
    return left_out, kept


def _saved(dearest: Candidate, trials: Sequence[Planned], known: Pace) -> float:
    """Seconds that go with a candidate: features that others need as well do not."""
    rest = [trial for trial in trials if trial.candidate != dearest]
    return (seconds_to_do(trials, known) or 0.0) - (seconds_to_do(rest, known) or 0.0)


def _spent(sweep: Sweep, row: TrialRow) -> Spent | None:
    trial = row.trial
    result = _result(trial)
    wall = _seconds_in_slot(sweep, trial)
    wall = result.get("time/wall_s") if wall is None else wall
    if wall is None:
        return None
    parts = [_number(result.get(f"time/{name}")) for name in ("features_s", "train_s", "eval_s")]
    features, training, evaluation = parts
    images = int(_number(result.get("data/taught", result.get("data/train"))))
    return Spent(wall, features, training, evaluation, images)


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
