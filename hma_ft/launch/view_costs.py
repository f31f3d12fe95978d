"""What the features of training views cost the trials of a sweep, which share them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hma_ft.launch.candidates import Candidate


class Planned(NamedTuple):
    """One trial of a candidate, whatever its point."""

    candidate: Candidate
    seed: int
    share: float = 1.0  # of its steps


@dataclass
class ViewCosts:
    """Seconds of a view by the digest of what it depends on, and the trials whose views are stored."""

    seconds: dict[str, float] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)  # that training draws from
    stored: list[Planned] = field(default_factory=list)

    def learn(self, trial: Planned, seconds: float, images: int) -> None:
        """Take in a finished trial: how long its views take, whoever computed them, and of how many images."""
        read = trial.candidate.read_views
        if read is None or not seconds:
            return
        self.images[read.digest] = images
        own = seconds / self._distinct(read.digest, [trial])
        self.seconds[read.digest] = max(self.seconds.get(read.digest, 0.0), own)
        self.stored.append(trial)

    def of(self, trials: Iterable[Planned]) -> float:
        """Seconds of the views that trials read and no store has yet, as far as trials have told."""
        read = [*self.stored, *trials]
        return sum(
            seconds * (self._distinct(digest, read) - self._distinct(digest, self.stored))
            for digest, seconds in self.seconds.items()
        )

    def _distinct(self, digest: str, trials: Iterable[Planned]) -> float:
        drawn: dict[int, float] = {}
        finite = 0
        for candidate, seed, share in trials:
            read = candidate.read_views
            if read is not None and read.digest == digest:
                drawn[seed] = max(drawn.get(seed, 0.0), share * read.draws)
                finite = read.finite
        return distinct_views(drawn, images=self.images[digest], finite=finite)


def distinct_views(drawn: Mapping[int, float], *, images: int, finite: int) -> float:
    """How many different views seeds have read that have drawn so many images each; expected, where views are finite.

    Each epoch has another view of an image, until there are no more. Seeds share the views of an epoch that they have
    come to, and of an epoch in the midst of which they ended the images that both happened to draw.
    """
    if not finite or not images:
        return sum(drawn.values())
    unread = (
        math.prod(1.0 - min(1.0, max(0.0, draws / images - epoch)) for draws in drawn.values())
        for epoch in range(finite)
    )
    return sum(images * (1.0 - share) for share in unread)
