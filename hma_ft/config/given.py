"""Which settings a command line names, as opposed to those that have their default value."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser


def given_keys(overrides: Iterable[str]) -> frozenset[str]:
    """Return the dotted keys (`dataset.root`) and the groups (`dataset`) that overrides set.

    Raises:
        HydraException: an override that can't be parsed.
    """
    parser = OverridesParser.create()
    return frozenset(
        key
        for override in map(parser.parse_override, overrides)
        for key in _keys(override.key_or_group, override.value())
    )


def _keys(key: str, value: Any) -> Iterator[str]:
    """The key, or those within a dictionary: `dataset={root: x}` names dataset.root."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _keys(f"{key}.{name}", inner)
    else:
        yield key
