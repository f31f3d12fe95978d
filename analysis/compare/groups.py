"""Groups of runs on each data set, and the setting of each group that val chose."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.compare.records import RunData
from analysis.compare.select import natural
from hma_ft.errors import UserError


@dataclass(frozen=True)
class GridPoint:
    """One setting of the tuned keys."""

    values: tuple[str, ...]
    runs: list[RunData]
    val: float  # mean val accuracy over the seeds that all points of the grid have


@dataclass(frozen=True)
class Cell:
    """A group on one data set."""

    dataset: str
    group: str
    values: tuple[str, ...]  # of the keys that group
    grid: list[GridPoint]  # in the order of the values; one point where nothing was tuned
    chosen: int  # index of the point that val chose

    @property
    def runs(self) -> list[RunData]:
        """The runs of the chosen setting, in the order of seeds."""
        return self.grid[self.chosen].runs

    @property
    def everything(self) -> list[RunData]:
        """The runs of all settings."""
        return [run for point in self.grid for run in point.runs]

    @property
    def seeds(self) -> list[str]:
        """Seeds of the chosen setting."""
        return [run.seed for run in self.runs]

    def edge(self, keys: Sequence[str]) -> str | None:
        """Where the choice lies at the end of a tuned key's grid: the key and the end."""
        for index, key in enumerate(keys):
            values = sorted({point.values[index] for point in self.grid}, key=natural)
            chosen = self.grid[self.chosen].values[index]
            if len(values) > 1 and chosen in (values[0], values[-1]):
                return f"{key}={chosen}, the {'least' if chosen == values[0] else 'largest'} of {len(values)} values"
        return None


def make_cells(runs: Sequence[RunData], *, by: Sequence[str], tuned: Sequence[str], mode: str | None) -> list[Cell]:
    """Cells by data set, then by the values of `by`. `tuned` keys are chosen by val top-1 in the inference mode."""
    keys = [key for key in by if key != "dataset.name"]
    places: dict[tuple[str, tuple[str, ...]], list[RunData]] = {}
    for run in runs:
        place = run.dataset, tuple(run.params.get(key, "none") for key in keys)
        places.setdefault(place, []).append(run)
    order = sorted(places, key=lambda place: (place[0], [natural(value) for value in place[1]]))
    return [_cell(place, keys, places[place], [k for k in tuned if k not in keys], mode) for place in order]


def _cell(
    place: tuple[str, tuple[str, ...]],
    keys: Sequence[str],
    runs: Sequence[RunData],
    tuned: Sequence[str],
    mode: str | None,
) -> Cell:
    settings: dict[tuple[str, ...], list[RunData]] = {}
    for run in runs:
        settings.setdefault(tuple(run.params.get(key, "none") for key in tuned), []).append(run)
    common = set.intersection(*({run.seed for run in found} for found in settings.values()))
    grid = []
    for values in sorted(settings, key=lambda v: [natural(text) for text in v]):
        found = sorted(settings[values], key=lambda run: natural(run.seed))
        counted = [run for run in found if run.seed in common] or found
        val = float(np.mean([run.score("val", "top1", mode) for run in counted]))
        grid.append(GridPoint(values, found, val))
    scores = [point.val if np.isfinite(point.val) else -np.inf for point in grid]
    return Cell(place[0], group_label(keys, place[1]), place[1], grid, int(np.argmax(scores)))


def group_label(keys: Sequence[str], values: Sequence[str]) -> str:
    """`hma`, or `hma real.size=128`: names stand alone, other settings with the end of their key."""
    parts = []
    for key, value in zip(keys, values, strict=True):
        alone = key in ("method.name", "model.short_name", "model.name")
        parts.append(value if alone else f"{'.'.join(key.split('.')[-2:])}={value}")
    return " ".join(parts) or "all runs"


def find_group(cells: Sequence[Cell], wanted: str) -> str:
    """The label of the group that `wanted` names in full, or by the start that no other group has. UserError else."""
    labels = list(dict.fromkeys(cell.group for cell in cells))
    if wanted in labels:
        return wanted
    found = [label for label in labels if label.startswith(f"{wanted} ")]
    if len(found) == 1:
        return found[0]
    problem = "fits several groups" if found else "is no group"
    raise UserError(f"--baseline {wanted} {problem}: choose one of {'; '.join(found or labels)}")
