"""The program as a user starts it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.benchmarks.measurement import REPOSITORY


def run_py(arguments: Sequence[str], folder: Path) -> None:
    """`python run.py ...` with its records in a folder. Raises RuntimeError with what it printed if it fails."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(REPOSITORY / "run.py"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
