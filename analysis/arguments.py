"""key=value arguments of the tools that read one run, and how they end for a mistake."""

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence

from hma_ft.errors import UserError


def parse(arguments: Sequence[str], defaults: Mapping[str, str | None]) -> dict[str, str | None]:
    """Values by key, those not given as in `defaults`. UserError for what is no key=value or no key."""
    values = dict(defaults)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"{argument} is no key=value: keys are {', '.join(defaults)}")
        if key not in defaults:
            near = difflib.get_close_matches(key, defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else f"keys are {', '.join(defaults)}"
            raise UserError(f"{key} is no key: {hint}")
        values[key] = value or None
    return values


def positive(values: Mapping[str, str | None], key: str) -> int:
    """The value of a key that counts something. UserError unless it is a whole number above 0."""
    text = values[key] or ""
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{key}={text} must be a whole number greater than 0")
    return int(text)


def run_tool(main: Callable[[Sequence[str]], None], help_text: str | None) -> int:
    """The exit code of `python -m ...`: 0, or 2 after one line for a mistake that the user can mend."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print((help_text or "").strip())
        return 0
    try:
        main(sys.argv[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
