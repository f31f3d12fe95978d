"""Families of methods for `--help`, read off their files: what is fitted how, and where."""

import re
from collections.abc import Iterator

from hma_ft.config.groups import Groups

# In the order of --help; a method belongs to the first whose pattern its file has.
FAMILIES = {
    "memory attention": r"^target: \S+\.HMA$",
    "without training steps": r"^reads: \[\]$",
    "inside a frozen backbone": r"^  - override peft:|^class_token: true$|^tokens:",
    "full fine-tuning": r"^backbone: full$",
    "on a frozen backbone": r"",
}


def families(groups: Groups) -> Iterator[tuple[str, list[str]]]:
    """Name and methods of each family that has any."""
    found: dict[str, list[str]] = {name: [] for name in FAMILIES}
    for method in groups.choices("method"):
        text = groups.text("method", method)
        family = next(name for name, pattern in FAMILIES.items() if re.search(pattern, text, re.MULTILINE))
        found[family].append(method)
    return ((name, methods) for name, methods in found.items() if methods)
