"""Feeds MLflow while a run trains, without ever stopping it or holding it up."""

import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from hma_ft.config.schema import TrackingConfig
from hma_ft.mlflow_sync.store import REQUEST_SECONDS, tracking_uri
from hma_ft.mlflow_sync.worker_process import Worker, start_worker
from hma_ft.rundir.environment import without_passwords
from hma_ft.rundir.record import RunRecord

PARENT_VARIABLE = "HMA_MLFLOW_PARENT"  # MLflow run id of the sweep that a run is a trial of
PATIENCE = 2.5  # seconds that the end of a run waits for a server that does not answer
_log = logging.getLogger(__name__)


class MlflowLogger:
    """Tells a worker process what to send. An outage is reported once, its end once; nothing here raises.

    The worker gets the rows that metrics.jsonl has at a push; call it when a checkpoint holds their step, so that a run
    that is killed and continues never takes back what MLflow has.
    """

    def __init__(self, record: RunRecord, tracking: TrackingConfig) -> None:
        """Returns at once; the worker imports MLflow while training starts."""
        self.record = record
        self.tracking = tracking
        self._uri = without_passwords(tracking_uri(tracking, record.directory))
        self._output = record.path("mlflow.log")
        self._worker: Worker | None = None
        self._pid: int | None = None
        self._outage = False
        self._received = b""
        self._deadline = 0.0  # until then the worker may be silent
        self._waiting_since: float | None = (
            None  # the worker waits for a server that has not shown yet that it is there
        )
        self._start()

    def push(self, *, rows: int) -> None:
        """Sends the first `rows` rows of the record's metrics; returns at once."""
        if self._worker is None or self._worker.ended():
            self._listen(0.0)
            self._start()
        self._send(rows=rows)
        self._listen(0.0)

    def close(self) -> bool:
        """Sends everything and the end of the run; call it when status.json says how the run ended. Whether it worked.

        Waits while the worker gets on; a server that is away or hangs costs two seconds or so.
        """
        if self._worker is None or self._worker.ended():
            self._start()
        self._listen(0.0)
        now = time.monotonic()
        if self._waiting_since is not None or self._deadline < now + REQUEST_SECONDS + 2:
            # idle, or asking a server that may hang; not in a long import
            self._waiting_since, self._deadline = now, now + PATIENCE
        done = self._send(rows=None) and self._listen(float("inf"))
        self._end(kill=not done)
        if not done:
            self._fail("it did not answer in time")
            _log.warning("bring MLflow up to date later: python run.py task=sync run=%s", self.record.directory)
        return done

    def _start(self) -> None:
        order = {
            "directory": str(self.record.directory.resolve()),
            "tracking": asdict(self.tracking),
            "parent": os.environ.get(PARENT_VARIABLE) or None,
            "folder": os.getcwd(),
            "log": str(self._output.resolve()),
        }
        try:
            self._worker = start_worker(self._output)
        except OSError as error:
            self._worker = None
            self._fail(str(error))
            return
        self._received, self._pid = b"", None
        self._waiting_since, self._deadline = None, time.monotonic() + 120
        self._send(**order)

    def _send(self, **message: Any) -> bool:
        """Whether the worker will see it. A full pipe may be passed over: a later message says it too."""
        if self._worker is None:
            return False
        try:
            self._worker.send(json.dumps(message).encode() + b"\n")
        except BlockingIOError:
            return False
        except OSError as error:
            self._fail(f"its process ended ({error}); see {self._output}")
            return False
        return True

    def _listen(self, seconds: float) -> bool:
        """Takes the worker's answers for at most `seconds`, or until it ends or is silent too long.

        Whether MLflow has everything.
        """
        end, success = time.monotonic() + seconds, False
        while self._worker is not None:
            chunk = self._worker.answer(max(0.0, min(end, self._deadline) - time.monotonic()))
            if not chunk:
                break
            *lines, self._received = (self._received + chunk).split(b"\n")
            for line in lines:
                success = self._take(json.loads(line))
        return success

    def _take(self, answer: dict[str, Any]) -> bool:
        now = time.monotonic()
        if "pid" in answer:
            self._pid = answer["pid"]
        elif "busy" in answer:
            self._waiting_since, self._deadline = None, now + answer["busy"]
        elif "probing" in answer:
            self._waiting_since = self._waiting_since or now
            self._deadline = self._waiting_since + PATIENCE
        elif "error" in answer:
            self._fail(answer["error"])
        elif self._outage:
            self._outage = False
            _log.warning("MLflow at %s is back; it has everything again", self._uri)
        if "run" in answer and self.record.status.mlflow_run != answer["run"]:
            with suppress(OSError):  # a full disk is for the record's own writes to report
                self.record.update_status(mlflow_run=answer["run"])
        return bool(answer.get("whole"))

    def _fail(self, reason: str) -> None:
        """Says once an outage that MLflow is away."""
        if not self._outage:
            self._outage = True
            _log.warning(
                "MLflow at %s: %s. The run goes on; %s is its record", self._uri, reason, self.record.directory
            )

    def _end(self, *, kill: bool) -> None:
        """Ends the worker, which has nothing left to do, or hangs."""
        if self._worker is None:
            return
        self._worker.end(self._pid, kill=kill)
        self._worker = None
        if not self._outage:
            self._output.unlink(missing_ok=True)
