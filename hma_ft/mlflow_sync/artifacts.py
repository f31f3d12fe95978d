"""Which files of a run directory are MLflow artifacts, and how they are sent."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hma_ft.mlflow_sync import store as mlflow_store
from hma_ft.mlflow_sync.state import MlflowState
from hma_ft.rundir.environment import without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

AT_START = ("config.yaml", "env.json", "data.json")
AT_END = ("result.json", "per_class.csv", "confusion.png", "risk_coverage.png", "curves.png")
PREDICTIONS = "predictions*.npz"  # one an inference mode; analysis.compare tests over their images
MODEL = "mlflow_model"  # folder of the run directory that `mlflow models serve` reads; artifact folder `model`


class Artifact(NamedTuple):
    """A file or folder to be sent."""

    key: str  # in the state
    path: Path
    folder: str | None  # in the artifact store
    version: str
    seconds: int  # that one request may take


def pending_artifacts(directory: Path, state: MlflowState, *, whole: bool, weights: bool) -> list[Artifact]:
    """Files that exist and were not sent as they are; the model with its weights last."""
    found = [_artifact(directory / name) for name in AT_START + (AT_END if whole else ())]
    if whole:
        found += [_artifact(path) for path in sorted(directory.glob(PREDICTIONS))]
    if weights and whole:
        found.append(_model(directory / MODEL))
    return [a for a in found if a is not None and state.artifacts.get(a.key) != a.version]


def _artifact(path: Path) -> Artifact | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return Artifact(path.name, path, None, f"{facts.st_size}-{facts.st_mtime_ns}", _seconds(facts.st_size))


def _model(path: Path) -> Artifact | None:
    """The folder as one; it is written once, in one step."""
    sizes = {file.relative_to(path): file.stat() for file in sorted(path.rglob("*")) if file.is_file()}
    if not sizes:
        return None
    digest = hashlib.sha256(repr([(str(f), s.st_size, s.st_mtime_ns) for f, s in sizes.items()]).encode())
    return Artifact("model", path, "model", digest.hexdigest(), _seconds(sum(s.st_size for s in sizes.values())))


def _seconds(size: int) -> int:
    slow = size // 1_000_000  # at a megabyte a second
    return mlflow_store.UPLOAD_SECONDS + slow if slow else mlflow_store.REQUEST_SECONDS


def send_artifact(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    """Overwrites what is there."""
    with mlflow_store.request_timeout(artifact.seconds):
        if artifact.path.is_dir():
            client.log_artifacts(run_id, str(artifact.path), artifact.folder)
        elif artifact.path.suffix == ".yaml":  # tracking.uri may hold a password
            client.log_text(run_id, without_passwords(artifact.path.read_text()), artifact.path.name)
        else:
            client.log_artifact(run_id, str(artifact.path), artifact.folder)
