"""What is compared with what: the cells of the table and how they are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from analysis.compare.consistency import one_line, problems, remarks
from analysis.compare.groups import Cell, find_group, make_cells
from analysis.compare.metric import METRICS, Metric
from analysis.compare.records import RunData
from analysis.compare.select import resolve_key
from hma_ft.errors import UserError


@dataclass(frozen=True)
class Comparison:
    """Everything that tables and figures are made from."""

    source: str
    cells: list[Cell]
    by: list[str]  # keys that group
    tuned: list[str]  # keys that val chooses
    metric: Metric
    mode: str | None  # inference mode; None: each run's headline
    baseline: str | None  # label of a group
    level: float = 0.95
    statements: list[str] = field(default_factory=list)

    @property
    def alpha(self) -> float:
        """Level of the tests."""
        return 1.0 - self.level

    @property
    def datasets(self) -> list[str]:
        """In the order of the cells."""
        return list(dict.fromkeys(cell.dataset for cell in self.cells))

    @property
    def groups(self) -> list[str]:
        """Labels, in the order of the cells; colours and markers follow it."""
        return list(dict.fromkeys(cell.group for cell in self.cells))

    def of(self, dataset: str) -> list[Cell]:
        """The cells of one data set."""
        return [cell for cell in self.cells if cell.dataset == dataset]

    def cell(self, dataset: str, group: str | None) -> Cell | None:
        """One cell, if it is there."""
        return next((cell for cell in self.of(dataset) if cell.group == group), None)

    def scores(self, cell: Cell, *, split: str = "test", mode: str | None = None) -> list[float]:
        """Figures of a cell's runs in the chosen mode, or in `mode`."""
        return [run.score(split, self.metric.key, mode or self.mode) for run in cell.runs]

    @property
    def comparisons(self) -> list[tuple[Cell, Cell]]:
        """Every group beside the baseline, with the baseline on the same data set."""
        found = []
        for cell in self.cells:
            base = self.cell(cell.dataset, self.baseline)
            if base is not None and cell.group != self.baseline:
                found.append((cell, base))
        return found


def compare(
    source: str,
    runs: Sequence[RunData],
    *,
    by: Sequence[str],
    tuned: Sequence[str],
    metric: str,
    mode: str | None,
    baseline: str | None,
    level: float,
    force: bool,
    notes: Sequence[str],
) -> Comparison:
    """Group the runs and look whether they may be compared. UserError where not, unless `force` is set."""
    keys = [resolve_key(key, runs) for key in by]
    tuned_keys = [resolve_key(key, runs) for key in tuned]
    if mode is not None and not any(run.has_mode(mode) for run in runs):
        raise UserError(f"no run was evaluated with --inference {mode}: hma runs have alone, batch and support")
    cells = make_cells(runs, by=keys, tuned=tuned_keys, mode=mode)
    wrong = problems(cells, by=keys, tuned=tuned_keys)
    if wrong and not force:
        raise UserError(f"the runs can't be compared: {one_line(wrong)}; --force compares them all the same")
    statements = [f"NOT COMPARABLE (--force): {line}" for line in wrong]
    statements += [*notes, *remarks(cells), *_mode_remarks(cells, mode), *_choice_remarks(cells, keys, tuned_keys)]
    label = find_group(cells, baseline) if baseline is not None else None
    return Comparison(source, cells, keys, tuned_keys, METRICS[metric], mode, label, level, statements)


def _mode_remarks(cells: Sequence[Cell], mode: str | None) -> list[str]:
    if mode is None:
        headlines = {str(run.result.get("inference", "alone")) for cell in cells for run in cell.runs}
        listed = ", ".join(sorted(headlines))
        return [f"the headline inference mode differs between runs ({listed})"] if len(headlines) > 1 else []
    without = [cell.group for cell in cells if not all(run.has_mode(mode) for run in cell.runs)]
    listed = ", ".join(dict.fromkeys(without))
    return [f"inference {mode}: {listed} has one mode only, and gives that"] if without else []


def _choice_remarks(cells: Sequence[Cell], by: Sequence[str], tuned: Sequence[str]) -> list[str]:
    """Where a grid was too narrow."""
    found = []
    for cell in cells:
        edge = cell.edge([key for key in tuned if key not in by])
        if edge is not None and any(run.requires_training for run in cell.runs):
            found.append(f"{cell.group} on {cell.dataset}: val chose {edge}; the best may lie beyond")
    return found
