"""`task=prepare` opens every picture and names those it can't."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.layouts import LAYOUTS

RunPy = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_counts_sizes_and_unreadable_files(run_py: RunPy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["dtd"](tmp_path / "data", monkeypatch)
    whole = run_py("task=prepare", "dataset=dtd", "dataset.root=data")
    assert whole.returncode == 0, whole.stderr
    assert "complete, every picture can be read" in whole.stdout
    assert whole.stdout.count("16, 16, 16") == 3
    assert "2 classes: banded, dotted" in whole.stdout

    broken = next((tmp_path / "data").rglob("dotted_0004.jpg"))
    broken.write_bytes(broken.read_bytes()[:-100])
    damaged = run_py("task=prepare", "dataset=dtd", "dataset.root=data")
    assert damaged.returncode == 1
    assert "unreadable: data/dtd/dtd/images/dotted/dotted_0004.jpg" in damaged.stdout
    assert "1 pictures can't be read" in damaged.stdout


@pytest.mark.slow
def test_what_cannot_be_fetched(run_py: RunPy) -> None:
    cars = run_py("task=prepare", "dataset=cars")
    assert cars.returncode == 2
    assert "Stanford Cars can no longer be downloaded: put cars_train/" in cars.stderr
    assert "Traceback" not in cars.stderr
