"""Fixtures that every folder of tests uses."""

import os
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
