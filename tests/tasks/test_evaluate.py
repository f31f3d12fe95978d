"""`task=evaluate` repeats a run's figures, and notices if it can't."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hma_ft.rundir.val_predictions import FILE, read_val_predictions

pytestmark = pytest.mark.slow

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def test_the_figures_are_repeated(finished_run: Path, run_py: RunPy) -> None:
    done = run_py("task=evaluate", f"run={finished_run}", "trainer.num_workers=0", "trainer.device=cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((finished_run / "result.json").read_text())
    for name in ("test/top1", "test_batch/nll", "test_support/ece", "val/top1"):
        (row,) = [line for line in done.stdout.splitlines() if f" {name} " in line]
        assert row.count(f"{result[name]:.6f}") == 2
    assert "differs" not in done.stdout


def test_another_figure_is_noticed(finished_run: Path, run_py: RunPy, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    result = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps(result | {"test/top1": 0.123}))
    done = run_py("task=evaluate", f"run={copy}", "trainer.num_workers=0", "trainer.device=cpu")
    assert done.returncode == 1
    assert done.stdout.count("differs") == 1


def test_an_unfinished_run_is_refused(finished_run: Path, run_py: RunPy, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    status = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    done = run_py("task=evaluate", f"run={copy}")
    assert done.returncode == 2
    assert "holds a run that is interrupted: give the directory of a finished run" in done.stderr


def test_predictions_of_val_are_written_where_a_record_lacks_them(
    finished_run: Path, run_py: RunPy, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    (copy / FILE).unlink()
    result = json.loads((copy / "result.json").read_text())
    (copy / "result.json").write_text(json.dumps({key: value for key, value in result.items() if "aurc" not in key}))
    done = run_py("task=evaluate", f"run={copy}", "trainer.num_workers=0", "trainer.device=cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"they are in {copy / FILE} now" in done.stderr
    assert "Not in the record, so not compared: val/aurc, test/aurc" in done.stdout
    found, recorded = read_val_predictions(copy), read_val_predictions(finished_run)
    assert found is not None and recorded is not None
    np.testing.assert_array_equal(found.confidence, recorded.confidence)
    np.testing.assert_array_equal(found.labels, recorded.labels)
    assert found.correct.mean() == pytest.approx(result["val/top1"])
