"""How MLflow is reached: address, time limits, first use of a database. MLflow is imported inside, it takes seconds."""

import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

from hma_ft.config.schema import TrackingConfig
from hma_ft.files.waiting_lock import waiting_lock
from hma_ft.mlflow_sync.view import experiment_tags
from hma_ft.rundir.environment import without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")
REQUEST_SECONDS = 5  # a server that takes longer counts as gone, until the next attempt
PROBE_SECONDS = 2
UPLOAD_SECONDS = 120
PROBES = 3  # a kept connection that the server closed meanwhile fails at once, whatever the server's health
_CLOSED = ("Connection reset", "RemoteDisconnected")
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"


def runs_folder(directory: Path) -> Path:
    """The folder of all runs that a run directory `<runs_dir>/<dataset>/<name>` lies in, also after it was moved."""
    return directory.resolve().parents[1]


def tracking_uri(tracking: TrackingConfig, directory: Path) -> str:
    """MLflow's address for the run of `directory`; the default is a database beside the runs."""
    return tracking.uri or sqlite_uri(runs_folder(directory) / "mlflow.db")


def ui_command(tracking: TrackingConfig, directory: Path) -> str:
    """How the user looks at the runs: the server's address, or a command that can be pasted."""
    uri = tracking_uri(tracking, directory)
    if is_server(uri):
        return without_passwords(uri)
    path = database_file(uri)
    if path is not None:
        uri = sqlite_uri(Path(os.path.relpath(path)))
    # the environment need not be activated
    program = "mlflow" if shutil.which("mlflow") else os.path.relpath(Path(sys.executable).with_name("mlflow"))
    return shlex.join([program, "ui", "--backend-store-uri", uri])


def is_server(uri: str) -> bool:
    """Whether a server is asked, rather than a database from this process."""
    return uri.startswith(("http://", "https://", "databricks"))


def sqlite_uri(path: Path) -> str:
    """The address of a database file.

    SQLAlchemy takes what follows `?` for options and decodes `%`. MLflow makes the parent directory of `sqlite:///`
    addresses, before it decodes them, but not where a driver is named.
    """
    text = str(path)
    return f"sqlite+pysqlite:///{quote(text)}" if set(text) & set("?%") else f"sqlite:///{text}"


def database_file(uri: str) -> Path | None:
    """The file of a database address; None for a server, another kind of database, or one in memory."""
    match = re.fullmatch(r"sqlite(\+pysqlite)?:///([^?]+)", uri)
    return None if match is None or match[2].startswith(":memory:") else Path(unquote(match[2]))


def connect(uri: str, seconds: int = PROBE_SECONDS) -> "MlflowClient":
    """A client of a store that answered within `seconds`. Raises whatever MLflow raises if the store cannot be used."""
    # urllib3 repeats POST requests too: one that was slow, not lost, would make a second run or point
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ.setdefault(_TIMEOUT, str(REQUEST_SECONDS))
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    database = database_file(uri)
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    # processes that create the tables of one SQLite file at the same time corrupt it
    with waiting_lock(database.with_name(database.name + ".lock"), seconds=120) if database else nullcontext():
        client = MlflowClient(uri)
        probe(client, seconds)
    return client


def probe(client: "MlflowClient", seconds: int = PROBE_SECONDS) -> None:
    """Raises at once where a server refuses, or after `seconds` where it does not answer."""
    with request_timeout(seconds):
        for _ in range(PROBES):
            try:
                with_retries(client.search_experiments, max_results=1)
                return
            except Exception as error:  # MLflow wraps it, and its class says nothing
                if not any(sign in str(error) for sign in _CLOSED):
                    raise
                failure = error
    raise failure


@contextmanager
def request_timeout(seconds: int) -> Iterator[None]:
    """Limits one HTTP request; MLflow reads the limit from the environment each time."""
    before = os.environ.get(_TIMEOUT, str(REQUEST_SECONDS))
    os.environ[_TIMEOUT] = str(seconds)
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = before


def with_retries(call: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """The call, again while other processes write to the same SQLite file (MLflow itself waits 20 s each time)."""
    for pause in (0.2, 0.5, 1.0):
        try:
            return call(*arguments, **named)
        except Exception as error:  # MLflow wraps the database's error, and its class says nothing
            if "database is locked" not in str(error):
                raise
            time.sleep(pause)
    return call(*arguments, **named)


def experiment_id(client: "MlflowClient", uri: str, name: str) -> str:
    """Id of the experiment of that name, which is created if need be; several processes may do so at once."""
    from mlflow.exceptions import MlflowException

    database = database_file(uri)
    # MLflow's own default for artifacts would be a folder in the working directory
    location = f"{(database.resolve().parent / 'mlartifacts').as_uri()}/{quote(name, safe='')}" if database else None
    for _ in range(3):
        found = with_retries(client.get_experiment_by_name, name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                raise RuntimeError(
                    f"the MLflow experiment {name!r} was deleted; restore it with `mlflow experiments restore "
                    f"--experiment-id {found.experiment_id}`, or set tracking.experiment"
                )
            return found.experiment_id
        try:
            tags = experiment_tags()
            return with_retries(client.create_experiment, name, artifact_location=location, tags=tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    raise RuntimeError(f"the MLflow experiment {name!r} can neither be found nor created")
