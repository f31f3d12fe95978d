"""The page of all benchmarks: a row a measurement, two columns a machine.

What a machine measured is kept as JSON beside the page, so that the next machine adds columns to it.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.benchmarks.measurement import VERDICTS, Measurement

NOTES = "notes.md"  # of the folder: what is to be said of the figures
HEAD = """\
# Speed

For whoever asks what it costs. Written by `make bench`. Every speed is a ratio between alternatives that were measured
in turn in one run on one machine; given is the median of the ratios of the rounds, in brackets their range and number,
then what either took. `python -m analysis.benchmarks.NAME` measures one part: {names}.
`python -m analysis.benchmarks.gpu` is for a machine with a GPU, `python -m analysis.benchmarks.earlier` compares with
an earlier version.
"""


@dataclass(frozen=True)
class Machine:
    """What one machine measured."""

    processor: str
    description: str  # Markdown list
    measurements: list[Measurement]

    @property
    def file(self) -> str:
        """The name of its file: a machine with as many cores of the same kind takes its place."""
        return re.sub(r"[^a-z0-9]+", "-", self.processor.lower()).strip("-") + ".json"

    def save(self, folder: Path) -> None:
        """Write it into the folder of all machines."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.file).write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")


def saved_machines(folder: Path) -> list[Machine]:
    """All that the folder has, by name of their file."""
    return [_machine(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("*.json"))]


def notes_of(folder: Path) -> str:
    """What is to be said below the table."""
    return (folder / NOTES).read_text(encoding="utf-8") if (folder / NOTES).is_file() else ""


def _machine(content: dict[str, Any]) -> Machine:
    measurements = [Measurement(**row) for row in content["measurements"]]
    return Machine(content["processor"], content["description"], measurements)


def page(machines: Sequence[Machine], names: Sequence[str], notes: str = "") -> str:
    """Markdown."""
    parts = [HEAD.format(names=", ".join(names))]
    parts += [f"**{machine.processor}**\n\n{machine.description}\n" for machine in machines]
    parts.append(_table(machines))
    return "\n".join([*parts, *([f"\n{notes.strip()}"] if notes.strip() else [])]) + "\n"


def _table(machines: Sequence[Machine]) -> str:
    """Rows in the order of the first machine that has them."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    targets: dict[tuple[str, str], str] = {}
    for machine in machines:
        for row in machine.measurements:
            (what, own), (against, other) = _parted(row.what), _parted(row.against)
            took = " against ".join(part for part in (own, other) if part)
            text = f"{row.value}; {took}" if took else row.value
            cells.setdefault((what, against), {})[machine.processor] = f"{text} | {VERDICTS[row.holds]}"
            targets.setdefault((what, against), row.target)
    titles = "".join(f" {machine.processor} | holds |" for machine in machines)
    lines = [f"| what | against | target |{titles}", "|---|---|---|" + "---|---|" * len(machines)]
    for (what, against), found in cells.items():
        measured = " | ".join(found.get(machine.processor, " | ") for machine in machines)
        lines.append(f"| {what} | {against} | {targets[what, against]} | {measured} |")
    return "\n".join(lines)


def _parted(text: str) -> tuple[str, str]:
    """What a row is about, and what this machine took for it: what stands behind the first colon."""
    name, _, took = text.partition(": ")
    return name, took
