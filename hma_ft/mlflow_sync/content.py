"""A run directory in MLflow's terms: name, tags, description, params, points. Pure functions; MLflow is not used."""

import hashlib
import json
import math
import re
import sys
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from hma_ft.config.aliases import with_current_names
from hma_ft.files.yaml_file import read_yaml
from hma_ft.rundir.environment import without_passwords
from hma_ft.rundir.metric_log import Row, read_rows
from hma_ft.rundir.status import Status, milliseconds, read_status

PARAM_LIMIT = 6000  # MLflow's, characters
TAG_LIMIT = 8000
DIGEST_LIMIT = 12  # MLflow takes 36; the column "Dataset" shows so many
# what says nothing about a result; the recipe's values count where they arrive: optimizer.lr and so on
_LEFT_OUT = ("task", "fresh", "run", "input", "output", "coverage", "nearest", "sweep", "tracking", "method.recipe")


class Point(NamedTuple):
    """One value of one metric."""

    key: str
    step: int
    value: float
    timestamp: int  # milliseconds since 1970


class Content(NamedTuple):
    """What a run directory holds, as read at one moment."""

    status: Status
    config: dict[str, Any]
    env: dict[str, Any]
    data: dict[str, Any]
    rows: list[Row]
    result: dict[str, Any]


def read_content(directory: Path) -> Content:
    """Reads a run directory. FileNotFoundError if it is none."""
    status = read_status(directory)
    if status is None:
        raise FileNotFoundError(f"{directory} is not a run directory: it has no readable status.json")
    config = with_current_names(read_yaml(directory / "config.yaml"))
    env, data, result = (_json(directory / name) for name in ("env.json", "data.json", "result.json"))
    return Content(status, config, env, data, read_rows(directory / "metrics.jsonl"), result)


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def run_name(directory: Path, content: Content) -> str:
    """Method, model, seed and the start of the fingerprint: the name of the run directory."""
    fingerprint = content.status.fingerprint[:8]
    if fingerprint and directory.name.endswith(fingerprint):
        return directory.name
    config = content.config
    model = _at(config, "model", "short_name") or str(_at(config, "model", "name")).split(".")[0]
    return f"{_at(config, 'method', 'name')}-{model}-seed{config.get('seed')}-{fingerprint}"


def tags(directory: Path, content: Content) -> dict[str, str]:
    """Tags to search and group by; those of MLflow's own fill its columns Source and Version."""
    git = content.env.get("git", {})
    commit = git.get("commit") or ""
    values = {
        "fingerprint": content.status.fingerprint,
        "method": _at(content.config, "method", "name"),
        "dataset": _at(content.config, "dataset", "name"),
        "model": _at(content.config, "model", "name"),
        "seed": content.config.get("seed"),
        "git.commit": commit,
        "git.dirty": json.dumps(git.get("dirty")),
        "host": content.status.host,
        "directory": directory.resolve(),
        "message": content.status.message,
        "mlflow.source.name": "run.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit,
    }
    words = {f"result.{k.replace('/', '.')}": v for k, v in content.result.items() if isinstance(v, str)}
    return {k: str(v)[:TAG_LIMIT] for k, v in (values | words).items() if v not in (None, "")}


def description(directory: Path, content: Content) -> str:
    """Markdown for the run's page, with the command that repeats the run."""
    config, git = content.config, content.env.get("git", {})
    what = f"**{_at(config, 'method', 'name')}** on **{_at(config, 'dataset', 'name')}**"
    commit = (git.get("commit") or "unknown")[:12] + (", with uncommitted changes" if git.get("dirty") else "")
    return "\n\n".join(
        [
            f"{what}, {_at(config, 'model', 'name')}, seed {config.get('seed')}.",
            f"To repeat it:\n\n```\n{content.env.get('command', '')}\n```",
            f"Record: `{directory.resolve()}` on `{content.status.host}`. Commit: {commit}.",
        ]
    )[:TAG_LIMIT]


def params(config: dict[str, Any]) -> dict[str, str]:
    """The configuration, flat: `method.hma.heads`. Numbers are written out, without exponent, so that they sort."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        _flatten(key, value, flat)
    return flat


def _flatten(key: str, value: Any, flat: dict[str, str]) -> None:
    if key in _LEFT_OUT:
        return
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            _flatten(f"{key}.{name}", inner, flat)
        return
    text = without_passwords(_text(value))
    if len(text) > PARAM_LIMIT:
        note = f"... ({len(text)} characters; all of them in config.yaml)"
        text = text[: PARAM_LIMIT - len(note)] + note
    flat[re.sub(r"[^\w\-. :/]", "_", key)[:250]] = text


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_text(v) for v in value) + "]"
    return str(value)


def points(rows: list[Row]) -> dict[tuple[str, int], Point]:
    """All values of metrics.jsonl by (key, step); where a step has two of a key the later one counts."""
    found = {}
    for row in rows:
        time = milliseconds(row["time"])
        for key, value in row.items():
            if key not in ("step", "time"):
                found[key, row["step"]] = Point(key, row["step"], _storable(value), time)
    return found


def result_points(content: Content) -> dict[tuple[str, int], Point]:
    """The numbers of result.json as metrics of one point, at the run's last step.

    Keys of the curves (`val/top1`) become `best/val/top1`: the curve's last point is not the chosen one.
    """
    step, time = content.status.step, milliseconds(content.status.updated)
    found = {}
    for name, value in content.result.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            key = f"best/{name}" if name.startswith(("val/", "train/")) else name
            found[key, step] = Point(key, step, _storable(value), time)
    return found


def _storable(value: float) -> float:
    """Infinity as MLflow's databases keep it."""
    return max(-sys.float_info.max, min(sys.float_info.max, value)) if math.isinf(value) else float(value)


def same_value(a: float, b: float) -> bool:
    """Whether a value that went through a server and its database is the one that was sent."""
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12)


def data_digest(content: Content) -> str:
    """Short digest of the images and splits."""
    digest = content.data.get("digest") or hashlib.sha256(json.dumps(content.data, sort_keys=True).encode()).hexdigest()
    return str(digest)[:DIGEST_LIMIT]


def _at(config: dict[str, Any], *keys: str) -> Any:
    value: Any = config
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
