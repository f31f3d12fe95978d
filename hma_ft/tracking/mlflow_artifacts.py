"""Which files of a run directory are MLflow artifacts, and how they are sent."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hma_ft.tracking import mlflow_store
from hma_ft.tracking.environment import without_passwords
from hma_ft.tracking.mlflow_ledger import Ledger

if TYPE_CHECKING:
    from mlflow import MlflowClient

AT_START = ("config.yaml", "env.json", "data.json")
AT_END = ("result.json", "per_class.csv", "confusion.png", "curves.png")
PREDICTIONS = "predictions*.npz"  # one an inference mode; analysis.compare tests over their images


class Artifact(NamedTuple):
    """A file to be sent."""

    key: str  # in the ledger
    path: Path
    folder: str | None  # in the artifact store
    version: str
    seconds: int  # that one request may take


def pending_artifacts(directory: Path, ledger: Ledger, *, whole: bool, weights: bool) -> list[Artifact]:
    """Files that exist and were not sent as they are; the weights as `checkpoints/best-STEP-CHECKSUM.pt`, last."""
    found = [_artifact(directory / name, None) for name in AT_START + (AT_END if whole else ())]
    if whole:
        found += [_artifact(path, None) for path in sorted(directory.glob(PREDICTIONS))]
    if weights and whole:
        best = sorted((directory / "checkpoints").glob("best-*.pt"))
        found += [_artifact(path, "checkpoints") for path in best[-1:]]  # the newest is the best so far
    return [a for a in found if a is not None and ledger.artifacts.get(a.key) != a.version]


def _artifact(path: Path, folder: str | None) -> Artifact | None:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    key = f"{folder}/{path.name}" if folder else path.name
    slow = facts.st_size // 1_000_000  # at a megabyte a second
    seconds = mlflow_store.UPLOAD_SECONDS + slow if slow else mlflow_store.REQUEST_SECONDS
    return Artifact(key, path, folder, f"{facts.st_size}-{facts.st_mtime_ns}", seconds)


def send_artifact(client: "MlflowClient", run_id: str, artifact: Artifact) -> None:
    """Overwrites what is there."""
    with mlflow_store.request_timeout(artifact.seconds):
        if artifact.path.suffix == ".yaml":  # tracking.uri may hold a password
            client.log_text(run_id, without_passwords(artifact.path.read_text()), artifact.path.name)
        else:
            client.log_artifact(run_id, str(artifact.path), artifact.folder)
