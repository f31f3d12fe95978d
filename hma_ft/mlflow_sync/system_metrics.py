"""CPU, memory, disk, network and GPU load of the machine, as MLflow's system metrics. They are in no record."""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor


class SystemMetrics:
    """MLflow's monitor; it stops itself when the server is away, and is started again at the next push."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._monitor: SystemMetricsMonitor | None = None

    def ensure_started(self, run_id: str) -> None:
        """Starts it, or starts it again."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        thread = self._monitor._process if self._monitor is not None else None  # MLflow calls its thread so
        if thread is None or not thread.is_alive():
            logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)
            self._monitor = SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=self._uri)
            self._monitor.start()

    def stop(self) -> None:
        """Asks it to end; `finish()` would wait for a server that hangs."""
        if self._monitor is not None:
            self._monitor._shutdown_event.set()
