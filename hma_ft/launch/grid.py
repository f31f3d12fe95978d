"""Grids of settings: the points of one, the choice among them, and a further value where an end was chosen."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from hma_ft.errors import UserError

PAIRS = "pairs"  # the key of settings that go together
Point = dict[str, Any]  # setting -> value


@dataclass(frozen=True)
class Grid:
    """Values of each setting, all combined, and lists of settings that go together."""

    values: dict[str, list[Any]] = field(default_factory=dict)
    pairs: list[Point] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """All combinations, the last setting fastest; one without settings where the grid is empty."""
        axes = [[{key: value} for value in values] for key, values in self.values.items()]
        axes += [self.pairs] if self.pairs else []
        return [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*axes)]

    @property
    def varied(self) -> list[str]:
        """Settings that have several values."""
        several = [key for key, values in self.values.items() if len(values) > 1]
        paired = [key for pair in self.pairs for key in pair] if len(self.pairs) > 1 else []
        return list(dict.fromkeys([*several, *paired]))


def read_grid(method: str, described: Any) -> Grid:
    """The grid of a method as `sweep.tune.grids` describes it. Raises UserError."""
    name = f"sweep.tune.grids.{method}"
    if not isinstance(described, Mapping):
        raise UserError(f"{name}={described} must be settings with their values, such as {{optimizer.lr: [0.01, 0.1]}}")
    values = {str(key): _listed(f"{name}: {key}", values) for key, values in described.items() if key != PAIRS}
    pairs = [_pair(f"{name}.{PAIRS}", pair) for pair in described.get(PAIRS) or []]
    both = set(values) & {key for pair in pairs for key in pair}
    if both:
        raise UserError(f"{name}: {', '.join(sorted(both))} has values of its own and in {PAIRS}; leave one out")
    return Grid(values, pairs)


def _listed(name: str, values: Any) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise UserError(f"{name}={values} must be a list of values")
    if any(value in values[:index] for index, value in enumerate(values)):
        raise UserError(f"{name}={values} has a value twice")
    return list(values)


def _pair(name: str, overrides: Any) -> Point:
    """`[optimizer.lr=0.1, optimizer.weight_decay=0]` as settings."""
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise UserError(
            f"{name}: {overrides} must be a list of overrides, such as [optimizer.lr=0.1, trainer.clip_grad_norm=1]"
        )
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise UserError(f"{name}: {' '.join(overrides)} can't be read: {str(error).splitlines()[0]}") from error
    several = [str(override.input_line) for override in parsed if override.is_sweep_override()]
    if several:
        raise UserError(f"{name}: {several[0]} gives several values; each list has one of every setting")
    return {override.key_or_group: override.value() for override in parsed}


def is_end(value: Any, tried: Sequence[Any]) -> bool:
    """Whether the value is the least or the largest of the numbers tried, several of which there must be."""
    return _are_numbers(tried) and len(tried) > 1 and value in (min(tried), max(tried))


def further_value(value: Any, tried: Sequence[Any]) -> float | int | None:
    """The next number beyond the end `value` of those tried; None where none can be told.

    The ratio is that of the step before the last, so that 1, 3, 10 goes on with 30 and 100. Only positive numbers have
    one: a grid that begins with 0 does not go below.
    """
    if not is_end(value, tried):
        return None
    positive = sorted(number for number in tried if number > 0)
    if len(positive) < 2 or value not in (positive[0], positive[-1]):
        return None
    ordered = positive if value == positive[-1] else positive[::-1]
    ratio = ordered[-2] / ordered[-3] if len(ordered) > 2 else ordered[-1] / ordered[-2]
    found = float(f"{ordered[-1] * ratio:.6g}")
    if all(isinstance(number, int) for number in positive):
        whole = round(found)
        return None if whole in tried or whole < 1 else whole
    return found


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def in_words(point: Point) -> str:
    """`optimizer.lr=0.01 method.hma.real.size=64`."""
    return " ".join(f"{key}={_plain(value)}" for key, value in point.items())


def _plain(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
