"""The choice among the points of a candidate's grid: by the highest mean val, after halving if asked for."""

from collections.abc import Callable, Sequence
from textwrap import shorten
from typing import Any, NamedTuple

from hma_ft.launch.candidates import Attempt, Candidate, Choice, Outcome
from hma_ft.launch.grid import Point, further_value, in_words
from hma_ft.launch.halving import survivors

_ERROR_WIDTH = 90  # characters


class Tuning(NamedTuple):
    """How a sweep chooses."""

    seeds: Sequence[int]
    extend: int = 0  # times that a grid may grow
    shares: Sequence[float] = (1.0,)  # of the steps, rung by rung; the last decides

    def shares_of(self, candidate: Candidate) -> Sequence[float]:
        """What is fitted has no steps to shorten."""
        return self.shares if candidate.length.steps else (1.0,)


class Tried:
    """The points of a candidate: all that were tried, and those that are left to choose from."""

    def __init__(self, candidate: Candidate, tuning: Tuning) -> None:
        self._candidate, self._tuning = candidate, tuning
        self._last = tuning.shares_of(candidate)[-1]
        self._tried = list(candidate.grid.points)
        self._left = list(candidate.grid.points)
        self._failed: list[str] = []  # of the rungs before the last
        self._trials = 0  # of those rungs

    def attempts(self, share: float | None = None) -> list[Attempt]:
        """The trials of a rung, the last one by default."""
        return attempts_at(self._candidate, self._left, self._tuning.seeds, self._last if share is None else share)

    def halve(self, share: float, outcome: Callable[[Attempt], Outcome]) -> None:
        """Keep the best of a rung, in the order of the grid."""
        means = [self._mean(point, share, outcome) for point in self._left]
        self._failed += self._failures(share, outcome)
        self._trials += len(self._left) * len(self._tuning.seeds)
        ranked = sorted(range(len(means)), key=means.__getitem__, reverse=True)  # stable: of equal ones the first
        kept = ranked[: survivors(len(self._tried))]
        self._left = [self._left[index] for index in sorted(kept)]

    def choose(self, outcome: Callable[[Attempt], Outcome]) -> Choice:
        """The point of the highest mean val over the seeds, of equal ones the first.

        A point with a failed trial counts only where no point is whole.
        """
        share = self._last
        means = [self._mean(point, share, outcome) for point in self._left]
        failed = self._failed + self._failures(share, outcome)
        trials = self._trials + len(self._left) * len(self._tuning.seeds)
        best = means.index(max(means))
        if means[best][1] == float("-inf"):
            return Choice({}, tried=0, failed=failed, trials=trials)
        point = self._left[best]
        at_end = [key for key in self._candidate.grid.values if further_value(point[key], self._values(key))]
        return Choice(
            point,
            val=means[best][1],
            tried=len(self._tried),
            share=share,
            at_end=at_end,
            extended=len(self._tried) - len(self._candidate.grid.points),
            failed=failed,
            trials=trials,
        )

    def beyond(self, choice: Choice) -> list[Point]:
        """Further points, one for each setting whose end was chosen, the others at their choice."""
        found = []
        for key in choice.at_end:
            further = {**choice.point, key: further_value(choice.point[key], self._values(key))}
            if further not in self._tried:
                found.append(further)
        return found

    def extended(self, points: Sequence[Point]) -> list[Attempt]:
        """The trials of further points, which take part in the choice from now on."""
        self._tried += points
        self._left += points
        return attempts_at(self._candidate, points, self._tuning.seeds, self._last)

    def _outcomes(self, point: Point, share: float, outcome: Callable[[Attempt], Outcome]) -> list[Outcome]:
        return [outcome(attempt) for attempt in attempts_at(self._candidate, [point], self._tuning.seeds, share)]

    def _mean(self, point: Point, share: float, outcome: Callable[[Attempt], Outcome]) -> tuple[bool, float]:
        """Whether all trials of a point have finished, and the mean val of those that have."""
        found = [o.val for o in self._outcomes(point, share, outcome) if o.val is not None]
        return len(found) == len(self._tuning.seeds), sum(found) / len(found) if found else float("-inf")

    def _failures(self, share: float, outcome: Callable[[Attempt], Outcome]) -> list[str]:
        return [
            f"{in_words(attempt.settings)} seed={attempt.seed}: {shorten(error, _ERROR_WIDTH)}"
            for attempt in self.attempts(share)
            if (error := outcome(attempt).error)
        ]

    def _values(self, key: str) -> list[Any]:
        values: list[Any] = []  # no dict: a value may be a list
        for point in self._tried:
            if point[key] not in values:
                values.append(point[key])
        return values


def attempts_at(
    candidate: Candidate, points: Sequence[Point], seeds: Sequence[int], share: float = 1.0
) -> list[Attempt]:
    """Seeds go last: trials that run together compute the features of different seeds."""
    return [Attempt(candidate, point, seed, share) for point in points for seed in seeds]
