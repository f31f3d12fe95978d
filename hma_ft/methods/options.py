"""What a method alone has: `method.options`, its keys and the range of each, checked before any data are read."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from hma_ft.config.schema import MethodConfig
from hma_ft.errors import UserError


class Kind(NamedTuple):
    """The values that an option takes."""

    accepts: Callable[[Any], bool]
    wanted: str  # completes "must be ..."


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


COUNT = Kind(lambda value: _whole(value) and value >= 1, "a whole number from 1")
POSITIVE = Kind(lambda value: _number(value) and value > 0, "a number above 0")
NOT_NEGATIVE = Kind(lambda value: _number(value) and value >= 0, "a number from 0")
FRACTION = Kind(lambda value: _number(value) and 0 <= value <= 1, "a number from 0 to 1")
SWITCH = Kind(lambda value: isinstance(value, bool), "true or false")


def one_of(*words: str) -> Kind:
    """One of some words."""
    return Kind(lambda value: value in words, f"one of {', '.join(words)}")


def optional(kind: Kind) -> Kind:
    """A value of a kind, or null."""
    return Kind(lambda value: value is None or kind.accepts(value), f"{kind.wanted}, or null")


def either(first: Kind, second: Kind) -> Kind:
    """A value of one of two kinds."""
    return Kind(lambda value: first.accepts(value) or second.accepts(value), f"{first.wanted}, or {second.wanted}")


def list_of(kind: Kind) -> Kind:
    """A list, not empty, of values of a kind."""
    return Kind(
        lambda value: isinstance(value, list) and len(value) > 0 and all(map(kind.accepts, value)),
        f"a list, each {kind.wanted}",
    )


def read_options(
    config: MethodConfig, kinds: Mapping[str, Kind], defaults: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The options of a method, `defaults` for those that an older configuration lacks.

    Raises:
        UserError: unknown options, missing ones, or values out of their range; a line for each.
    """
    options = {**(defaults or {}), **config.options}
    known = ", ".join(kinds) or "none"
    problems = [
        f"unknown option method.options.{name} of method={config.name}, which has: {known}"
        for name in options
        if name not in kinds
    ]
    for name, kind in kinds.items():
        if name not in options:
            problems.append(f"method.options.{name} is missing: method={config.name} needs {kind.wanted}")
        elif not kind.accepts(options[name]):
            problems.append(f"method.options.{name}={options[name]} must be {kind.wanted}")
    if problems:
        raise UserError("\n".join(problems))
    return options
