"""Groups of images that must not be divided between splits: of one patient, camera or site."""

import re
from collections.abc import Mapping, Sequence

from hma_ft.data.datasets.base import ImageDataset
from hma_ft.errors import UserError
from hma_ft.names import counted

_PAIRS = (("train", "test"), ("train", "val"), ("val", "test"))
_NAMED = 3  # groups that a message names


def groups_by_pattern(pattern: str, names: Sequence[str]) -> list[str]:
    """The group of each image: what the first parenthesis of a regular expression finds in its path.

    Raises:
        UserError: an expression without a parenthesis, or a path in which it finds nothing.
    """
    expression = re.compile(pattern)
    if expression.groups < 1:
        raise UserError(
            f"dataset.options.group={pattern} has no parenthesis: the part of the path that names the group goes into "
            "one, such as (patient\\d+)_"
        )
    found = []
    for name in names:
        match = expression.search(name)
        if match is None or match[1] is None:
            raise UserError(f"dataset.options.group={pattern} finds no group in {name}: every path must have one")
        found.append(match[1])
    return found


def shared_groups(parts: Mapping[str, ImageDataset], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for each two splits that share groups, with an image of both; `groups` by split, a group an image."""
    lines = []
    for one, other in _PAIRS:
        if one not in groups or other not in groups:
            continue
        shared = sorted(set(groups[one]) & set(groups[other]))
        if not shared:
            continue
        first = [parts[name].sample_id(groups[name].index(shared[0])) for name in (one, other)]
        more = f" and {len(shared) - _NAMED} more" if len(shared) > _NAMED else ""
        lines.append(
            f"{counted(len(shared), 'group')} in both {one} and {other}: {', '.join(shared[:_NAMED])}{more} "
            f"(such as {first[0]} and {first[1]}): a group belongs to one split"
        )
    return lines
