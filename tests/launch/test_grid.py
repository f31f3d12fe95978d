"""Grids: combinations, settings that go together, and the value beyond an end."""

from typing import Any

import pytest

from hma_ft.errors import UserError
from hma_ft.launch.grid import further_value, read_grid


def test_points_are_all_combinations_with_settings_that_go_together() -> None:
    pairs = [["optimizer.name=sgd", "optimizer.lr=0.1"], ["optimizer.name=adamw", "optimizer.lr=1e-3"]]
    grid = read_grid("head", {"trainer.ema_decay": [None, 0.9], "pairs": pairs})
    sgd, adamw = {"optimizer.name": "sgd", "optimizer.lr": 0.1}, {"optimizer.name": "adamw", "optimizer.lr": 1e-3}
    assert grid.points == [{"trainer.ema_decay": decay, **pair} for decay in (None, 0.9) for pair in (sgd, adamw)]
    assert read_grid("head", {}).points == [{}]


@pytest.mark.parametrize(
    ("value", "tried", "further"),
    [
        (0.03, [0.003, 0.01, 0.03], 0.1),  # 1, 3, 10 goes on as it began
        (0.003, [0.003, 0.01, 0.03], 0.001),
        (0.1, [0.03, 0.01, 0.1], 0.3),
        (8.0, [1.0, 2.0, 4.0, 8.0], 16.0),
        (0.1, [0.01, 0.1], 1.0),
        (256, [64, 128, 256], 512),
        (1, [1, 2, 4], None),  # rounds to what was tried
        (0.01, [0.003, 0.01, 0.03], None),  # no end
        (0.0, [0.0, 1e-4, 1e-3], None),  # below 0 is nothing
        (1e-3, [0.0, 1e-4, 1e-3], 1e-2),
        (5, [5], None),
        (True, [True, False], None),
        ("ks", ["ks", "lw"], None),
    ],
)
def test_the_value_beyond_an_end(value: Any, tried: list[Any], further: Any) -> None:
    found = further_value(value, tried)
    assert found == (None if further is None else pytest.approx(further))


@pytest.mark.parametrize(
    ("described", "line"),
    [
        (0.1, "sweep.tune.grids.head=0.1 must be settings with their values"),
        ({"optimizer.lr": 0.1}, "optimizer.lr=0.1 must be a list of values"),
        ({"optimizer.lr": [0.1, 0.1]}, "has a value twice"),
        ({"pairs": [["optimizer.lr=1,2"]]}, "optimizer.lr=1,2 gives several values"),
        ({"optimizer.lr": [0.1], "pairs": [["optimizer.lr=1"]]}, "optimizer.lr has values of its own and in pairs"),
    ],
)
def test_mistakes_are_named(described: Any, line: str) -> None:
    with pytest.raises(UserError, match=r"sweep\.tune\.grids\.head") as error:
        read_grid("head", described)
    assert line in str(error.value)
