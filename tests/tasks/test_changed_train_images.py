"""Images are taken out of a memory by name, also when the training images have changed since."""

import csv
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hma_ft.engine.held_images import HeldImages
from tests.test_replaced_images import folder

RunPy = Callable[..., subprocess.CompletedProcess[str]]
SETTINGS = ["dataset=folder", "dataset.root=data", "model=vit_micro", "augment=digits", "tracking=off"]


@pytest.mark.slow
def test_the_named_image_goes_or_none(run_py: RunPy, tmp_path: Path) -> None:
    folder(tmp_path / "data", 0)
    (tmp_path / "remove.txt").write_text("train/dog/9.png\n")
    for method in ("knn", "ridge"):
        trained = run_py(*SETTINGS, "trainer.device=cpu", "trainer.num_workers=0", f"method={method}")
        assert trained.returncode == 0, trained.stderr
    knn, ridge = (f"run={next((tmp_path / 'runs/folder').glob(f'{name}-*'))}" for name in ("knn", "ridge"))
    images = shutil.copytree(tmp_path / "data/train/dog", tmp_path / "input")
    predict = ["task=predict", f"input={images}", "memory_remove=remove.txt"]
    expected = run_py(*predict, ridge)
    assert "1 rows of 1 named samples removed" in expected.stdout, expected.stderr

    (tmp_path / "data/train/cat/0.png").unlink()  # every image after it has another place now
    done = run_py(*predict, knn, "nearest=3")
    assert done.returncode == 0 and "1 rows of 1 named samples removed" in done.stdout, done.stderr
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and all("train/dog/9.png" not in row["nearest"] for row in rows)
    assert any("train/dog/3.png" in row["nearest"] for row in rows)
    refused = run_py(*predict, ridge)
    assert refused.returncode == 2 and "have changed since: bring back the images of then" in refused.stderr
    both = run_py(*predict, knn, "coverage=0.9")
    assert both.returncode == 2 and "coverage chooses its threshold by what the run said of val" in both.stderr


def test_copies_of_an_image_count_as_the_first() -> None:
    digests = torch.zeros(3, 16, dtype=torch.uint8)
    digests[1] = 7
    held = HeldImages(torch.tensor([2, 5, 9]), digests, ["a", "b", "copy of a"])
    assert held.copies() == {9: 2}
