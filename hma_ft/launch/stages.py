"""The stages of a tuned sweep, as a pure function of what its trials came to.

first   one trial of each method, from which the time is estimated
choose  every point of each method's grid, with tuning seeds
extend  a further value where the end of a grid was chosen, some times at the most
seeds   each method at its choice, with the seeds of the comparison

Nothing is remembered between two looks: a sweep that was cut off anywhere goes on where its records end.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import shorten
from typing import NamedTuple

from hma_ft.launch.grid import Grid, Point, further_value, in_words
from hma_ft.names import counted

_ERROR_WIDTH = 90  # characters


class StageName(StrEnum):
    """Name of a stage."""

    first = "first"
    choose = "choose"
    extend = "extend"
    seeds = "seeds"


@dataclass(frozen=True)
class Candidate:
    """One of the things that are compared: a method with its grid."""

    label: str  # the overrides that tell it from the others
    method: str
    seeds: list[int]  # of the comparison
    grid: Grid = field(default_factory=Grid)
    views: str = ""  # digest of what its training images depend on, beside the seed

    @property
    def is_tuned(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.grid.points) > 1


class Attempt(NamedTuple):
    """One trial of a candidate."""

    candidate: Candidate
    point: Point
    seed: int

    @property
    def label(self) -> str:
        """As it stands in tables."""
        return " ".join(filter(None, [self.candidate.label, in_words(self.point), f"seed={self.seed}"]))


class Outcome(NamedTuple):
    """What a trial came to; neither a value nor an error while it has not ended."""

    val: float | None = None
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether it finished or failed."""
        return self.val is not None or bool(self.error)


@dataclass(frozen=True)
class Choice:
    """The point that val chose for a candidate."""

    point: Point
    val: float | None = None  # mean top-1 over the tuning seeds; None where nothing was tried
    tried: int = 1
    at_end: list[str] = field(default_factory=list)  # settings that lie at an end of what was tried
    extended: int = 0
    failed: list[str] = field(default_factory=list)  # trials that failed, with their errors
    trials: int = 0

    def in_words(self) -> str:
        """One line, without the candidate's name; empty where there was nothing to choose."""
        if not self.tried:
            return f"nothing is chosen, as all of its {self.trials} trials failed ({self.failed[0]}): it is left out"
        if self.val is None:
            return ""
        grown = f", after {counted(self.extended, 'extension')}" if self.extended else ""
        line = f"val chose {in_words(self.point)} ({100 * self.val:.1f} %) of {self.tried} settings{grown}"
        if self.at_end:
            line += f"; {', '.join(self.at_end)} is the end of the grid: the best may lie beyond"
        if self.failed:
            line += (
                f"; {len(self.failed)} of {self.trials} trials failed ({self.failed[0]}), "
                "and it was decided among what finished"
            )
        return line


@dataclass(frozen=True)
class Stage:
    """Trials that may run at the same time."""

    name: StageName
    attempts: list[Attempt]


@dataclass
class Progress:
    """How far a sweep is: all stages up to the present one, whose trials have not all ended."""

    stages: list[Stage]
    choices: dict[str, Choice]  # by the candidate's label, of those decided
    complete: bool  # the last stage has ended too

    @property
    def present(self) -> Stage | None:
        """The stage that runs or is next; None after the last."""
        return None if self.complete else self.stages[-1]


def progress(
    candidates: Sequence[Candidate],
    outcome: Callable[[Attempt], Outcome],
    *,
    tune_seeds: Sequence[int],
    extend: int,
    left_out: Collection[str] = (),
) -> Progress:
    """Go through the stages as far as the outcomes reach. `left_out`: labels that take no part after the first."""
    choices: dict[str, Choice] = {}
    stages: list[Stage] = []
    for stage in _stages(candidates, outcome, tune_seeds, extend, left_out, choices):
        if not stage.attempts:
            continue
        stages.append(stage)
        if not all(outcome(attempt).ended for attempt in stage.attempts):
            return Progress(stages, choices, complete=False)
    return Progress(stages, choices, complete=True)


def _stages(
    candidates: Sequence[Candidate],
    outcome: Callable[[Attempt], Outcome],
    tune_seeds: Sequence[int],
    extend: int,
    left_out: Collection[str],
    choices: dict[str, Choice],
) -> Iterator[Stage]:
    """Each stage once the one before it has ended; fills `choices` as they fall."""
    yield Stage(StageName.first, [first_attempt(candidate, tune_seeds) for candidate in candidates])
    kept = [candidate for candidate in candidates if candidate.label not in left_out]
    tuned = [candidate for candidate in kept if candidate.is_tuned and tune_seeds]
    tried = {candidate.label: list(candidate.grid.points) for candidate in tuned}
    yield Stage(StageName.choose, [a for c in tuned for a in _attempts(c, tried[c.label], tune_seeds)])
    for extension in range(extend + 1):
        for candidate in tuned:
            choices[candidate.label] = choose(candidate, tried[candidate.label], tune_seeds, outcome)
        further = {c.label: _beyond(c, choices[c.label], tried[c.label]) for c in tuned}
        if extension == extend or not any(further.values()):
            break
        for label, points in further.items():
            tried[label] += points
        yield Stage(StageName.extend, [a for c in tuned for a in _attempts(c, further[c.label], tune_seeds)])
    final = []
    for candidate in kept:
        choice = choices.setdefault(candidate.label, Choice(untuned_point(candidate)))
        if choice.tried:
            final += _attempts(candidate, [choice.point], candidate.seeds)
    yield Stage(StageName.seeds, final)


def first_attempt(candidate: Candidate, tune_seeds: Sequence[int]) -> Attempt:
    """The trial that tells how long a candidate takes: the middle of its grid, which is least likely to diverge."""
    points = candidate.grid.points
    if not (candidate.is_tuned and tune_seeds):
        return Attempt(candidate, untuned_point(candidate), candidate.seeds[0])
    return Attempt(candidate, points[(len(points) - 1) // 2], tune_seeds[0])


def untuned_point(candidate: Candidate) -> Point:
    """The settings of a candidate without a choosing stage: those of its grid where it has one point, else its own."""
    return {} if candidate.is_tuned else candidate.grid.points[0]


def _attempts(candidate: Candidate, points: Sequence[Point], seeds: Sequence[int]) -> list[Attempt]:
    """Seeds go last: trials that run together compute the features of different seeds."""
    return [Attempt(candidate, point, seed) for point in points for seed in seeds]


def choose(
    candidate: Candidate, tried: Sequence[Point], seeds: Sequence[int], outcome: Callable[[Attempt], Outcome]
) -> Choice:
    """The point of the highest mean val over the seeds, of equal ones the first.

    A point with a failed trial counts only where no point is whole.
    """
    means: list[tuple[bool, float]] = []
    failed = []
    for point in tried:
        outcomes = [outcome(Attempt(candidate, point, seed)) for seed in seeds]
        errors = [(seed, o.error) for seed, o in zip(seeds, outcomes, strict=True) if o.error]
        failed += [f"{in_words(point)} seed={seed}: {shorten(error, _ERROR_WIDTH)}" for seed, error in errors]
        found = [o.val for o in outcomes if o.val is not None]
        means.append((len(found) == len(seeds), sum(found) / len(found) if found else float("-inf")))
    trials = len(tried) * len(seeds)
    if len(failed) == trials:
        return Choice({}, tried=0, failed=failed, trials=trials)
    best = means.index(max(means))
    point = tried[best]
    at_end = [key for key in candidate.grid.values if further_value(point[key], _values(tried, key))]
    return Choice(
        point,
        val=means[best][1],
        tried=len(tried),
        at_end=at_end,
        extended=len(tried) - len(candidate.grid.points),
        failed=failed,
        trials=trials,
    )


def _beyond(candidate: Candidate, choice: Choice, tried: Sequence[Point]) -> list[Point]:
    """Further points, one for each setting whose end was chosen, the others at their choice."""
    found = []
    for key in choice.at_end:
        further = {**choice.point, key: further_value(choice.point[key], _values(tried, key))}
        if further not in tried:
            found.append(further)
    return found


def _values(tried: Sequence[Point], key: str) -> list[float]:
    return list(dict.fromkeys(point[key] for point in tried))
