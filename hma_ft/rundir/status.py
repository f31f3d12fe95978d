"""status.json: how far a run is, and who runs it."""

import dataclasses
import json
import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from hma_ft.files.atomic import write_atomic


class State(StrEnum):
    """How a run stands. A run that was killed still says `running`; its free lock tells (hma_ft.files.lock.is_held)."""

    running = "running"
    finished = "finished"
    interrupted = "interrupted"
    failed = "failed"


def now() -> str:
    """This moment, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def milliseconds(time: str) -> int:
    """ISO 8601 to milliseconds since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


@dataclass(frozen=True)
class Status:
    """One version of status.json."""

    state: State = State.running
    step: int = 0
    max_steps: int = 0
    fingerprint: str = ""
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started: str = field(default_factory=now)  # of the first start
    updated: str = field(default_factory=now)
    starts: int = 1  # how often the run was started or continued
    message: str = ""
    mlflow_run: str | None = None  # MLflow's run id


def read_status(directory: Path) -> Status | None:
    """The status of a run directory; None where there is none, or it cannot be read."""
    try:
        values = json.loads((directory / "status.json").read_text())
        known = {f.name for f in dataclasses.fields(Status)}
        return Status(**{k: v for k, v in values.items() if k in known} | {"state": State(values["state"])})
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def write_status(directory: Path, status: Status) -> None:
    """Replaces status.json in one step."""
    write_atomic(directory / "status.json", json.dumps(dataclasses.asdict(status), indent=1) + "\n")
