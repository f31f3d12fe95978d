"""What no setting takes, whatever it means: empty text, a number that is not finite or that no library holds."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

_BITS = 64


def value_problems(config: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, one line) of every such value within a dataclass."""
    for field in dataclasses.fields(config):
        name, value = f"{prefix}{field.name}", getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from value_problems(value, f"{name}.")
            continue
        optional = "None" in str(field.type)
        for item in value if isinstance(value, list) else [value]:
            reason = _reason(item, optional=optional)
            if reason:
                yield name, f"{name}={value} {reason}"
                break


def _reason(value: Any, *, optional: bool) -> str:
    if value == "":
        return "is empty: give a value" + (", or null" if optional else "")
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and value.bit_length() >= _BITS:
        return f"must be a number of less than {_BITS} bits"
    return ""
