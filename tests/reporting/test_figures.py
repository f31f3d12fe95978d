"""Figures are drawn for every size of problem; what they look like is looked at."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hma_ft.reporting.figures import confusion_png, curves_png
from hma_ft.reporting.risk_coverage_figure import risk_coverage_png


def confusion(classes: int) -> np.ndarray:
    """Nine of ten right."""
    matrix = np.eye(classes, dtype=np.int64) * 9
    matrix[np.arange(classes), (np.arange(classes) + 1) % classes] += 1
    return matrix


@pytest.mark.parametrize("classes", [2, 10, 47, 365])
def test_confusion_is_readable_at_any_size(tmp_path: Path, classes: int) -> None:
    path = tmp_path / "confusion.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of names that find no room
        confusion_png(path, confusion(classes), [f"$a_{{{i} with a$ name of some length" for i in range(classes)])
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
        assert 500 <= image.width <= 2400 and 500 <= image.height <= 2400
    assert min(pixels.shape) / classes > 2  # pixels a class
    assert (pixels < 90).mean() > 0.0005  # the dark diagonal and the text
    assert (pixels[:, :3] > 250).all() and (pixels[:, -3:] > 250).all()  # nothing is cut off at the sides


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"step": 0, "time": "", "val/top1": 0.5, "val/nll": 1.0}],
        [
            {"step": s, "time": "", "train/loss": float("nan") if s == 5 else 1 / s, "train/lr": 0.01}
            for s in range(1, 200)
        ],
    ],
    ids=["none", "without training", "long"],
)
def test_curves_of_any_run(tmp_path: Path, rows: list[dict]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves_png(tmp_path / "curves.png", rows)
    with Image.open(tmp_path / "curves.png") as image:
        assert image.size == (1440, 456)


@pytest.mark.parametrize("wrong", [[0], [1], [1, 0], [0] * 50, [0, 1, 1] * 200], ids=len)
def test_risk_coverage_of_any_split(tmp_path: Path, wrong: list[int]) -> None:
    answered = np.arange(1, len(wrong) + 1)
    risk = np.cumsum(wrong) / answered
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        risk_coverage_png(tmp_path / "curve.png", answered / len(wrong), risk, area=risk.mean())
    with Image.open(tmp_path / "curve.png") as image:
        assert image.size == (672, 504)


def test_matplotlib_and_mlflow_are_imported_late() -> None:
    code = (
        "import sys, hma_ft.reporting.risk_coverage_figure, hma_ft.rundir.record, hma_ft.reporting.console\n"
        "import hma_ft.tasks.sync, hma_ft.mlflow_sync.logger\n"
        "sys.exit(bool({'mlflow', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
