"""Fixtures that every folder of tests uses."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds run.py and conf/."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with parity numbers, real pictures and pretrained weights; the test is skipped where it is absent."""
    folder = Path(os.environ.get("HMA_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "parity").is_dir():
        pytest.skip(f"needs the shared folder with parity/ and data/ (set HMA_SHARED; looked in {folder})")
    return folder


RunPy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_py(repository: Path, tmp_path: Path) -> RunPy:
    """`run_py("method=head", ...)` runs run.py in tmp_path, where its records go, on one thread."""

    def run(*arguments: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(repository / "run.py"), *arguments],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Settings of a run on the digits that a CPU does in seconds."""
    return [
        "model=vit_micro",
        "dataset=digits",
        "augment=digits",
        "optimizer=adamw",
        "optimizer.lr=0.002",
        "tracking=off",
        "trainer.device=cpu",
        "trainer.workers=0",
        "trainer.batch_size=16",
        "trainer.log_every=5",
        "trainer.eval_every=20",
    ]
