"""Runs of the tools that look into a finished run; each is trained once a session."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Train = Callable[..., Path]


@pytest.fixture(scope="session")
def train(repository: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Train:
    """`train("method=hma", ...)`: the directory of a run on the digits, a dozen steps long."""
    folder, done = tmp_path_factory.mktemp("runs"), {}

    def run(*arguments: str) -> Path:
        if arguments not in done:
            command = [sys.executable, str(repository / "run.py"), *tiny, "trainer.max_steps=12", *arguments]
            place = folder / str(len(done))
            subprocess.run(
                [*command, f"runs_dir={place}"],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                check=True,
                capture_output=True,
            )
            done[arguments] = next(place.glob("digits/*"))
        return done[arguments]

    return run


@pytest.fixture(scope="session")
def hma_run(train: Train) -> Path:
    """HMA with small memories, of which the real one has been overwritten."""
    return train("method=hma", "method.hma.real.size=40", "method.hma.synthetic.slots=2", "method.hma.support_size=30")


Tool = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tool(repository: Path, tmp_path: Path) -> Tool:
    """`tool("analysis.attention", "run=...")` runs a module from tmp_path."""

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run
