"""What a tuned sweep compares, a trial of it, what that came to, and what val chose."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hma_ft.launch.grid import Grid, Point, in_words
from hma_ft.launch.halving import Length
from hma_ft.names import counted


class ReadViews(NamedTuple):
    """The views of training images whose features the trials of a candidate read from the store."""

    digest: str  # of what a view's features depend on, beside the seed where views are not finite
    draws: int  # images that a whole training reads
    finite: int = 0  # views of an image, the same for every seed; 0: new ones every epoch


@dataclass(frozen=True)
class Candidate:
    """One of the things that are compared: a method with its grid."""

    label: str  # the overrides that tell it from the others
    method: str
    seeds: list[int]  # of the comparison
    grid: Grid = field(default_factory=Grid)
    length: Length = field(default_factory=Length)
    read_views: ReadViews | None = None  # none where the backbone trains, or nothing does

    @property
    def is_tuned(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.grid.points) > 1


class Attempt(NamedTuple):
    """One trial of a candidate."""

    candidate: Candidate
    point: Point
    seed: int
    share: float = 1.0  # of the candidate's steps

    @property
    def settings(self) -> Point:
        """The point, and the length of a shortened trial."""
        return self.candidate.length.shortened(self.point, self.share)

    @property
    def label(self) -> str:
        """As it stands in tables."""
        return " ".join(filter(None, [self.candidate.label, in_words(self.settings), f"seed={self.seed}"]))


class Outcome(NamedTuple):
    """What a trial came to."""

    val: float | None = None  # top-1; none of a run that trained on val
    error: str = ""
    finished: bool = False

    @property
    def ended(self) -> bool:
        """Whether it finished or failed."""
        return self.finished or bool(self.error)


@dataclass(frozen=True)
class Choice:
    """The point that val chose for a candidate."""

    point: Point
    val: float | None = None  # mean top-1 over the tuning seeds; None where nothing was tried
    tried: int = 1  # settings
    share: float = 1.0  # of the steps, after which it was decided
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
        if self.share < 1.0:
            line += f", after {self.share:.0%} of the steps"
        if self.at_end:
            line += f"; {', '.join(self.at_end)} is the end of the grid: the best may lie beyond"
        if self.failed:
            line += (
                f"; {len(self.failed)} of {self.trials} trials failed ({self.failed[0]}), "
                "and it was decided among what finished"
            )
        return line


def untuned_point(candidate: Candidate) -> Point:
    """The settings of a candidate without a choosing stage: those of its grid where it has one point, else its own."""
    return {} if candidate.is_tuned else candidate.grid.points[0]
