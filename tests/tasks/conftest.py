"""Finished runs for the tasks that read one."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finished_run(repository: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an HMA run on the digits, with figures in all inference modes."""
    folder = tmp_path_factory.mktemp("finished")
    command = [sys.executable, str(repository / "run.py"), *tiny, "method=hma", "trainer.max_steps=40"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (directory,) = (folder / "runs" / "digits").iterdir()
    return directory
