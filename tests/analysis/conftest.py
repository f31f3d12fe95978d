"""Runs of the tools that look into a finished run; each is trained once a session."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import processes

Train = Callable[..., Path]


@pytest.fixture(scope="session")
def train(repository: Path, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Train:
    """`train("method=hma", ...)`: the directory of a run on the digits, a dozen steps long."""
    folder, done = tmp_path_factory.mktemp("runs"), {}

    def run(*arguments: str) -> Path:
        if arguments not in done:
            place = folder / str(len(done))
            command = [*tiny, "trainer.max_steps=12", *arguments, f"runs_dir={place}"]
            processes.run(processes.RUN_PY, *command, folder=folder, check=True)
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
        return processes.run(module, *arguments, folder=tmp_path)

    return run
