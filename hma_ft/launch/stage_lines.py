"""A sweep with stages in a log: what was decided, and now and then how far it is."""

import time
from collections.abc import Sequence

from hma_ft.launch.staged_plan import read_state
from hma_ft.launch.staged_tables import time_left
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.sweep_status import TrialRow
from hma_ft.launch.tables import counts

SECONDS = 15.0  # between two lines of progress, at least


class StageLines:
    """Prints each decision once, a line at each new stage, and a line of progress where trials have ended."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._stage = ""
        self._counts = ""
        self._told: set[str] = set()
        self._last = float("-inf")

    def tell(self, sweep: Sweep, rows: Sequence[TrialRow]) -> None:
        """Say what is new."""
        state = read_state(sweep.directory)
        for note in state.notes:
            if note not in self._told:
                print(note, flush=True)
                self._told.add(note)
        now, counted = time.monotonic(), counts(rows)
        if state.stage != self._stage or (now - self._last >= SECONDS and counted != self._counts):
            self._stage, self._last, self._counts = state.stage, now, counted
            left = time_left(sweep, rows, self._slots)
            print(f"stage {state.stage}: {counted}" + (f"; {left}" if left else ""), flush=True)
