"""Finished runs for the tasks that read one."""

from pathlib import Path

import pytest

from tests import processes


@pytest.fixture(scope="session")
def finished_run(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an HMA run on the digits, with figures in all inference modes."""
    folder = tmp_path_factory.mktemp("finished")
    processes.run(processes.RUN_PY, *tiny, "method=hma", "trainer.max_steps=40", folder=folder, check=True)
    (directory,) = (folder / "runs" / "digits").iterdir()
    return directory
