"""`task=predict`: a CSV of classes; what can't be read is skipped and named."""

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.splits import load_splits

pytestmark = pytest.mark.slow

RunPy = Callable[..., subprocess.CompletedProcess[str]]


def test_it_says_what_the_record_says(finished_run: Path, run_py: RunPy, tmp_path: Path) -> None:
    test = load_splits(DatasetConfig(name="digits", target="hma_ft.data.datasets.digits.Digits")).test
    folder = tmp_path / "images" / "deep"
    folder.mkdir(parents=True)
    linked = tmp_path / "elsewhere"
    linked.mkdir()
    (folder / "linked").symlink_to(linked)
    (folder / "circle").symlink_to(folder)
    files = {f"deep/{index:02d}.png": index for index in range(0, 48, 3)}
    files |= {"deep/48.pgm": 48, "deep/album.jpg/51.png": 51, "deep/c\udce9, d=e.png": 54, "deep/linked/57.png": 57}
    (folder / "album.jpg").mkdir()
    for file, index in files.items():
        grey = Image.fromarray(test.load(index)[0].numpy())
        exif = Image.Exif()
        exif[274] = 6 if index == 0 else 1
        grey.save(folder.parent / file, **({} if file.endswith("pgm") else {"exif": exif}))
    (folder / "._00.png").write_bytes(b"a Mac's")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (folder / "notes.txt").write_text("no image")
    done = run_py(
        "task=predict", f"run={finished_run}", f"input={folder.parent}", "output=out.csv", "trainer.device=cpu"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 images classified into out.csv, 1 skipped" in done.stdout
    assert f"skipped: cannot decode image {folder / 'broken.jpg'} (no image, or of an unknown format)" in done.stdout
    assert "left out: 1 .txt" in done.stdout
    assert "1 image read as stored, though an EXIF orientation says otherwise (such as" in done.stdout
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    recorded = np.load(finished_run / "predictions.npz")
    for row, index in zip(rows, range(0, 60, 3), strict=True):
        name = next(file for file, number in files.items() if number == index)
        probabilities = recorded["probabilities"][index]
        assert row["file"] == name.replace("\udce9", r"\xe9")
        assert row["class"] == recorded["class_names"][probabilities.argmax()]
        assert float(row["probability"]) == pytest.approx(probabilities.max(), abs=2e-6)
        best = [name.partition("=")[0] for name in (row[f"top{rank}"] for rank in range(1, 6))]
        assert best == [str(recorded["class_names"][i]) for i in np.argsort(-probabilities, kind="stable")[:5]]


def test_nothing_to_read(finished_run: Path, run_py: RunPy, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run_py("task=predict", f"run={finished_run}", f"input={tmp_path / 'empty'}")
    assert done.returncode == 2
    assert "holds no images" in done.stderr
