"""When a checkpoint is due."""

import pytest

from hma_ft.engine.checkpoint_manager import interval


@pytest.mark.parametrize(
    ("minutes", "save_seconds", "expected"),
    [(2.0, 0.5, 120.0), (2.0, 2.4, 120.0), (2.0, 6.0, 300.0), (0.1, 0.5, 25.0), (0.0, 6.0, 0.0)],
)
def test_steps_wait_for_a_fiftieth_of_the_time_at_most(minutes: float, save_seconds: float, expected: float) -> None:
    """But with 0 minutes, which means after every evaluation, whatever that costs."""
    assert interval(60 * minutes, save_seconds) == pytest.approx(expected)
