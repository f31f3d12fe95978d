"""The notebook runs from its first cell to its last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient


@pytest.fixture
def notebook(repository: Path) -> nbformat.NotebookNode:
    """As it is in the repository."""
    return nbformat.read(repository / "analysis" / "attention.ipynb", as_version=4)


def test_it_is_kept_without_outputs(notebook: nbformat.NotebookNode) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_it_runs(
    notebook: nbformat.NotebookNode, hma_run: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HMA_RUN", str(hma_run))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folder = {"metadata": {"path": str(repository / "analysis")}}
    done = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
    outputs = [output.get("data", {}) for cell in done.cells for output in cell.get("outputs", [])]
    tables = [data["text/plain"] for data in outputs if "text/html" in data]
    assert len(tables) == 2 and "synthetic" in tables[0] and "chance" in tables[1]
    assert sum("image/png" in data for data in outputs) == 2
