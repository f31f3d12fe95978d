"""mlflow.json: what a run directory knows about its MLflow run."""

import dataclasses
import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from hma_ft.files.atomic import write_atomic


@dataclass
class MlflowState:
    """Bookkeeping of one run directory; it may lag behind the server, never the other way round."""

    uid: str = field(default_factory=lambda: uuid.uuid4().hex)  # tag `hma.uid`: finds the run even if its id was lost
    uri: str = ""  # where `run_id` holds
    run_id: str | None = None
    parent: str | None = None  # MLflow run id of the sweep
    writer: str = ""  # the process that wrote last
    complete: bool = False  # whether MLflow has everything of a finished run
    artifacts: dict[str, str] = field(default_factory=dict)  # file: size and time of what was sent

    @classmethod
    def read(cls, directory: Path) -> "MlflowState":
        """The state of a run directory, or a new one."""
        try:
            values = json.loads((directory / "mlflow.json").read_text())
            return cls(**{f.name: values[f.name] for f in dataclasses.fields(cls) if f.name in values})
        except (OSError, ValueError):
            return cls()

    def write(self, directory: Path) -> None:
        """On disk when this returns."""
        content = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        write_atomic(directory / "mlflow.json", content, durable=True)
