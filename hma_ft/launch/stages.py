"""The stages of a tuned sweep, as a pure function of what its trials came to.

first   one trial of each method, from which the time is estimated
halve   where it is asked for, every point for a ninth of the steps (hma_ft/launch/halving.py)
choose  every point of each method's grid, or the best half for a third of the steps, with tuning seeds
extend  a further value where the end of a grid was chosen, some times at the most
seeds   each method at its choice, with the seeds of the comparison

Nothing is remembered between two looks: a sweep that was cut off anywhere goes on where its records end.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hma_ft.launch.candidates import Attempt, Candidate, Choice, Outcome, untuned_point
from hma_ft.launch.choosing import Tried, Tuning, attempts_at


class StageName(StrEnum):
    """Name of a stage."""

    first = "first"
    halve = "halve"
    choose = "choose"
    extend = "extend"
    seeds = "seeds"


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
    tuning: Tuning,
    *,
    left_out: Collection[str] = (),
) -> Progress:
    """Go through the stages as far as the outcomes reach. `left_out`: labels that take no part after the first."""
    choices: dict[str, Choice] = {}
    stages: list[Stage] = []
    for stage in _stages(candidates, outcome, tuning, left_out, choices):
        if not stage.attempts:
            continue
        stages.append(stage)
        if not all(outcome(attempt).ended for attempt in stage.attempts):
            return Progress(stages, choices, complete=False)
    return Progress(stages, choices, complete=True)


def _stages(
    candidates: Sequence[Candidate],
    outcome: Callable[[Attempt], Outcome],
    tuning: Tuning,
    left_out: Collection[str],
    choices: dict[str, Choice],
) -> Iterator[Stage]:
    """Each stage once the one before it has ended; fills `choices` as they fall."""
    yield Stage(StageName.first, [first_attempt(candidate, tuning) for candidate in candidates])
    kept = [candidate for candidate in candidates if candidate.label not in left_out]
    tuned = [candidate for candidate in kept if candidate.is_tuned and tuning.seeds]
    grids = {candidate.label: Tried(candidate, tuning) for candidate in tuned}
    halved = [candidate for candidate in tuned if len(tuning.shares_of(candidate)) > 1]
    for share in tuning.shares[:-1]:
        yield Stage(StageName.halve, [attempt for c in halved for attempt in grids[c.label].attempts(share)])
        for candidate in halved:
            grids[candidate.label].halve(share, outcome)
    yield Stage(StageName.choose, [attempt for c in tuned for attempt in grids[c.label].attempts()])
    for extension in range(tuning.extend + 1):
        for candidate in tuned:
            choices[candidate.label] = grids[candidate.label].choose(outcome)
        further = {c.label: grids[c.label].beyond(choices[c.label]) for c in tuned}
        if extension == tuning.extend or not any(further.values()):
            break
        yield Stage(StageName.extend, [a for c in tuned for a in grids[c.label].extended(further[c.label])])
    final = []
    for candidate in kept:
        choice = choices.setdefault(candidate.label, Choice(untuned_point(candidate)))
        if choice.tried:
            final += attempts_at(candidate, [choice.point], candidate.seeds)
    yield Stage(StageName.seeds, final)


def first_attempt(candidate: Candidate, tuning: Tuning) -> Attempt:
    """The trial that tells how long a candidate takes: the middle of its grid, which is least likely to diverge."""
    points = candidate.grid.points
    if not (candidate.is_tuned and tuning.seeds):
        return Attempt(candidate, untuned_point(candidate), candidate.seeds[0])
    return Attempt(candidate, points[(len(points) - 1) // 2], tuning.seeds[0], tuning.shares_of(candidate)[0])
