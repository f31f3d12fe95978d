"""metrics.jsonl: one JSON object a line, the truth about what was measured at which step."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hma_ft.files.atomic import write_atomic
from hma_ft.rundir.status import now

Row = dict[str, Any]  # {"step": int, "time": ISO 8601, name: float, ...}


def _parsed(content: bytes) -> Iterator[tuple[Row, int]]:
    """Rows with the offset of the byte after each; ends at the first line that is torn or no JSON object."""
    end = 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        try:
            row = json.loads(line)
        except ValueError:
            return
        if not isinstance(row, dict) or "step" not in row:
            return
        end += len(line)
        yield row, end


def read_rows(path: Path) -> list[Row]:
    """All whole rows of metrics.jsonl; empty where there is none. Python's NaN and Infinity may occur as values."""
    return [row for row, _ in _parsed(path.read_bytes())] if path.exists() else []


class MetricLog:
    """Appends to metrics.jsonl; opening it cuts off what a killed process left half-written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        content = path.read_bytes() if path.exists() else b""
        ends = [end for _, end in _parsed(content)]
        self.count = len(ends)  # rows in the file
        if ends or content:
            os.truncate(path, ends[-1] if ends else 0)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115  kept open: a line costs microseconds

    def append(self, step: int, values: dict[str, float]) -> None:
        """One line, handed to the operating system before this returns: it survives a SIGKILL."""
        row = {"step": int(step), "time": now(), **{name: float(value) for name, value in values.items()}}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self.count += 1

    def rewind(self, count: int) -> int:
        """Keeps the first `count` rows and returns how many were dropped; readers see the old or the new file."""
        rows = read_rows(self.path)
        if count < len(rows):
            self._file.close()
            write_atomic(self.path, "".join(json.dumps(row) + "\n" for row in rows[:count]), durable=True)
            self._file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115
            self.count = count
        return max(0, len(rows) - count)

    def close(self) -> None:
        """Ends appending; everything is in the file already, but for a line that the disk refused."""
        with suppress(OSError):
            self._file.close()
