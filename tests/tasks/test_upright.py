"""Images that lie on their side by an EXIF orientation give the figures of upright copies, to the digit."""

import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hma_ft.data.decode import decode

RunPy = Callable[..., subprocess.CompletedProcess[str]]

TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def write(root: Path, upright: Path, name: str, seed: int, *, wide: bool) -> None:
    """A JPEG of stripes with an orientation below `root`, and what a viewer shows of it as PNG below `upright`."""
    orientation = seed % 8 + 1
    noise = np.random.default_rng(seed).integers(0, 90, (20, 28))
    stripes = 150 * (np.indices((20, 28))[0 if wide else 1] // 4 % 2)
    shown = Image.fromarray((noise + stripes).astype(np.uint8)).convert("RGB")
    back = {6: 8, 8: 6}.get(orientation, orientation)
    stored = shown if orientation == 1 else shown.transpose(TRANSPOSE[back])
    exif = Image.Exif()
    exif[274] = orientation
    for folder in (root, upright):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    stored.save(root / f"{name}.jpg", exif=exif, quality=95)
    pixels = Image.fromarray(decode(root / f"{name}.jpg").permute(1, 2, 0).numpy())  # as the JPEG decodes, not turned
    (pixels if orientation == 1 else pixels.transpose(TRANSPOSE[orientation])).save(upright / f"{name}.png")


@pytest.fixture
def turned(tmp_path: Path) -> tuple[Path, Path]:
    """Folders turned/ and upright/ with train, val and test of horizontal and vertical stripes."""
    roots = tmp_path / "turned", tmp_path / "upright"
    for place, split in enumerate(("train", "val", "test")):
        for label, name in enumerate(("across", "down")):
            for number in range(8):
                write(*roots, f"{split}/{name}/{number}", 100 * place + 50 * label + number, wide=label == 0)
    return roots


def table(path: Path, root: Path) -> list[list[str]]:
    """The cells, with images named from `root` on and without their suffix."""
    with path.open(newline="") as file:
        return [[re.sub(r"\.(jpg|png)", "", cell.replace(f"{root}/", "")) for cell in row] for row in csv.reader(file)]


@pytest.mark.slow
def test_a_run_and_its_predictions(run_py: RunPy, tmp_path: Path, tiny: list[str], turned: tuple[Path, Path]) -> None:
    settings = [*(s for s in tiny if s != "dataset=digits"), "method=hma", "dataset=folder", "trainer.max_steps=20"]
    settings += ["trainer.eval_every=10", "scheduler.warmup_steps=2", "method.hma.real.size=16"]
    directories, probabilities = {}, {}
    for name, root, followed in (
        ("turned", turned[0], "true"),
        ("upright", turned[1], "true"),
        ("lying", turned[0], "false"),
    ):
        option = f"dataset.exif_orientation={followed}"
        done = run_py(*settings, f"dataset.root={root}", f"runs_dir={tmp_path / 'runs' / name}", option)
        assert done.returncode == 0, done.stderr
        (directories[name],) = (tmp_path / "runs" / name / "folder").iterdir()
        with np.load(directories[name] / "predictions.npz") as recorded:
            probabilities[name] = recorded["probabilities"]
    assert np.array_equal(probabilities["turned"], probabilities["upright"])
    assert not np.array_equal(probabilities["turned"], probabilities["lying"])
    assert directories["turned"].name == directories["upright"].name != directories["lying"].name  # the fingerprint

    tables = {}
    for name, root in (("turned", turned[0]), ("upright", turned[1])):
        places = [f"run={directories[name]}", f"dataset.root={root}", f"input={root}/test", f"memory={root}/val"]
        output = tmp_path / f"{name}.csv"
        done = run_py("task=predict", *places, f"output={output}", "trainer.device=cpu", "trainer.num_workers=0")
        assert done.returncode == 0, done.stderr
        assert "16 images added" in done.stdout
        tables[name] = table(output, root)
    assert len(tables["turned"]) == 17 and tables["turned"] == tables["upright"]
    nearest = tables["turned"][0].index("nearest")
    assert all(row[nearest].startswith("val/") for row in tables["turned"][1:])  # the images added, by name
