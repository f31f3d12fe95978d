"""A sweep's verdict on its parent run in MLflow: metrics, tags, the page and its plots."""

import logging
import re
import time
from typing import TYPE_CHECKING, Any

from hma_ft.launch.mlflow_parents import OUR_DESCRIPTION, first_line, parents_of
from hma_ft.launch.sweep import Sweep
from hma_ft.launch.verdict import FOLDER, PAGE, Verdict
from hma_ft.mlflow_sync.store import UPLOAD_SECONDS, connect, request_timeout, with_retries
from hma_ft.names import counted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

log = logging.getLogger(__name__)
ROWS_LISTED = 40  # MLflow takes 8000 characters
_FIGURES = ("mean", "low", "high", "difference", "difference_low", "difference_high")


def log_verdict(sweep: Sweep, verdict: Verdict | None) -> None:
    """Bring the verdict to every parent run of the sweep. Without MLflow it stands beside the sweep: a warning."""
    if verdict is None:
        return
    for experiment, parent in parents_of(sweep).items():
        try:
            _log(connect(parent["uri"]), parent["run"], sweep, verdict)
        except Exception as error:
            log.warning("the verdict is not in MLflow's experiment %s: %s", experiment, first_line(error))


def _log(client: "MlflowClient", run: str, sweep: Sweep, verdict: Verdict) -> None:
    from mlflow.entities import RunTag

    several = len({row["dataset"] for row in verdict.rows}) > 1
    named = [(_name(row, several), row) for row in verdict.rows]
    tags = {f"hma.verdict.{name}": row["verdict"] for name, row in named if row.get("verdict")}
    tags["hma.verdict"] = " ".join(verdict.sentences)
    tags["hma.baseline"] = verdict.baseline
    tags["hma.trials"] = str(len(sweep.trials))
    present = with_retries(client.get_run, run).data.tags.get("mlflow.note.content", "")
    if present.startswith(OUR_DESCRIPTION):
        tags["mlflow.note.content"] = description(sweep, verdict)
    with_retries(
        client.log_batch,
        run,
        metrics=[metric for name, row in named for metric in _metrics(name, row)],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )
    with request_timeout(UPLOAD_SECONDS):
        client.log_artifact(run, str(sweep.directory / PAGE))
        for path in sorted((sweep.directory / FOLDER).iterdir()):
            client.log_artifact(run, str(path), FOLDER)


def description(sweep: Sweep, verdict: Verdict) -> str:
    """Markdown: the sentences, a table in per cent, where the rest is."""
    rows = [
        "| data set | method | seeds | mean | 95 % interval | difference | 95 % interval | verdict |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in verdict.rows[:ROWS_LISTED]:
        cells = [row["dataset"], row["group"], str(row["seeds"]), *(_interval(row, *_FIGURES[:3]))]
        rows.append("| " + " | ".join([*cells, *_interval(row, *_FIGURES[3:]), row.get("verdict") or ""]) + " |")
    more = len(verdict.rows) - ROWS_LISTED
    if more > 0:
        rows.append(f"\n{counted(more, 'row')} more on the page.")
    return "\n".join(
        [
            f"{OUR_DESCRIPTION}{len(sweep.trials)} trials, compared with `{verdict.baseline}`. "
            + " ".join(verdict.sentences),
            *("", *rows, ""),
            f"The whole comparison: `{PAGE}` among the artifacts. Record: `{sweep.directory}`.",
        ]
    )


def _interval(row: dict[str, Any], mean: str, low: str, high: str) -> tuple[str, str]:
    if row.get(mean) is None:
        return "", ""
    ends = "" if row.get(low) is None else f"{100 * row[low]:.2f} to {100 * row[high]:.2f}"
    return f"{100 * row[mean]:.2f}", ends


def _metrics(name: str, row: dict[str, Any]) -> list["Metric"]:
    from mlflow.entities import Metric

    now = round(1000 * time.time())
    return [Metric(f"verdict/{name}/{key}", row[key], now, 0) for key in _FIGURES if row.get(key) is not None]


def _name(row: dict[str, Any], several: bool) -> str:
    """As MLflow takes it."""
    name = f"{row['dataset']}/{row['group']}" if several else row["group"]
    return re.sub(r"[^\w\-. /]", "_", name)
