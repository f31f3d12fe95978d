"""A sweep with stages in a log: what was decided, and now and then how far it is."""

import time
from collections.abc import Sequence

from hma_ft.launch.staged_plan import read_state
from hma_ft.launch.staged_tables import time_left
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.sweep_status import TrialRow
from hma_ft.launch.tables import counts

SECONDS = 15.0  # between two lines of progress, at least
_ENDED = (TrialState.finished, TrialState.failed)


class StageLines:
    """Prints each decision once, a line at each new stage, and a line of progress where trials have ended."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._stage = ""
        self._ended = -1
        self._told: set[str] = set()
        self._last = float("-inf")

    def tell(self, sweep: Sweep, rows: Sequence[TrialRow]) -> None:
        """Say what is new."""
        state = read_state(sweep.directory)
        for note in state.notes:
            if note not in self._told:
                print(note, flush=True)
                self._told.add(note)
        now, ended = time.monotonic(), sum(row.state in _ENDED for row in rows)
        if state.stage != self._stage or (now - self._last >= SECONDS and ended != self._ended):
            self._stage, self._last, self._ended = state.stage, now, ended
            left = time_left(sweep, rows, self._slots)
            print(f"stage {state.stage}: {counts(rows)}" + (f"; {left}" if left else ""), flush=True)
