"""Settings that are paths: `~` is the home directory in each of them, whoever wrote it (shell, YAML, quotes)."""

import os
import re
from pathlib import Path

from hma_ft.config.schema import Config

# Dotted names. A setting that takes a path belongs here.
PATHS = (
    "runs_dir",
    "run",
    "input",
    "output",
    "memory",
    "memory_remove",
    "model.weights",
    "dataset.root",
    "dataset.cache_dir",
    "tracking.uri",  # where it names a database file
)
_MLFLOW_SCHEMES = ("http", "https", "databricks", "databricks-uc", "sqlite", "postgresql", "mysql", "mssql")
_SQLITE = re.compile(r"(sqlite(\+\w+)?:///)(~.*)", re.DOTALL)


def user_path(text: str) -> str:
    """Replace a leading `~` or `~name` by the home directory; also behind `sqlite:///`."""
    database = _SQLITE.fullmatch(text)
    return database[1] + os.path.expanduser(database[3]) if database else os.path.expanduser(text)


def expand_paths(config: Config) -> None:
    """Apply `user_path` to every setting of PATHS, in place."""
    for name in PATHS:
        group, _, key = name.rpartition(".")
        owner = getattr(config, group) if group else config
        value = getattr(owner, key)
        if value is not None:
            setattr(owner, key, user_path(value))


def path_argument(text: str) -> Path:
    """The path that a command line of analysis names."""
    return Path(user_path(text))


def uri_problem(uri: str) -> str | None:
    """Why no MLflow can be behind an address, whether it answers now or not; None where one can."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.partition("+")[0] not in _MLFLOW_SCHEMES:
        hint = "" if "://" in uri or not uri else f": a database file is sqlite:///{uri}/mlflow.db"
        return f"is neither a server (http://HOST:PORT) nor a database (sqlite:///FILE){hint}"
    if scheme == "sqlite" and not rest.removeprefix("///"):
        return "names no file: write sqlite:///FILE"
    return None
