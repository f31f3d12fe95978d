"""run.py with checkpoints written in a thread, as on a GPU, on whatever there is."""

import runpy

from hma_ft.engine import checkpoint_manager
from hma_ft.engine.checkpoint_writer import CheckpointWriter
from tests.processes import RUN_PY


class _Background(CheckpointWriter):
    def __init__(self, *, in_background: bool) -> None:
        super().__init__(in_background=True)


if __name__ == "__main__":
    checkpoint_manager.CheckpointWriter = _Background  # type: ignore[misc]
    runpy.run_path(RUN_PY, run_name="__main__")
