"""The tutorial's commands work when followed, and the page shows them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from analysis.tutorial.commands import REPOSITORY, Size
from analysis.tutorial.images import CLASSES, write_images
from hma_ft.errors import UserError


def commands(page: str) -> list[str]:
    """The commands in the boxes of a page, each on one line."""
    return [re.sub(r" \\\n\s+", " ", found) for found in re.findall(r"^\$ ((?:.*\\\n)*.*)$", page, flags=re.MULTILINE)]


def without_names(command: str) -> str:
    """A command without the fingerprint of a run's directory, which depends on the size of the tutorial."""
    return re.sub(r"(run=runs/folder/\w+-vit_micro-seed0)-\w+", r"\1", command)


def test_images_are_whole_and_in_nobodys_way(tmp_path: Path) -> None:
    folder, new = tmp_path / "a", tmp_path / "b"
    assert write_images(folder, new, 3) == 30
    assert sorted(path.name for path in folder.iterdir()) == sorted(CLASSES)
    assert all(len(list((folder / name).iterdir())) == 3 for name in CLASSES)
    assert len(list(new.iterdir())) == 20 and not {p.name for p in new.iterdir()} & {p.name for p in folder.rglob("*")}
    with Image.open(next(new.iterdir())) as image:
        assert (image.size, image.mode) == ((64, 64), "L")
    with pytest.raises(UserError, match="is not empty"):
        write_images(folder, new, 3)
    with pytest.raises(UserError, match="--per-class 0 must be 1 to 150"):
        write_images(tmp_path / "c", tmp_path / "d", 0)


@pytest.mark.slow
def test_every_command_works_and_stands_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "TUTORIAL.md"
    page.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "analysis.tutorial", "--quick", "--out", str(page), "--folder", str(tmp_path / "work")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made, shown = commands(page.read_text()), commands((REPOSITORY / "docs/TUTORIAL.md").read_text())
    assert len(made) == len(shown) == 8
    small = {
        "--per-class 20": "--per-class 50",
        "max_steps=10 ": "max_steps=100 ",
        "head,knn,logreg ": "head,knn,logreg,hma_head ",
    }
    for short, long in {**small, "seed=0,1 ": f"seed={','.join(map(str, Size().seeds))} "}.items():
        made = [command.replace(short, long) for command in made]
    assert [without_names(command) for command in made] == [without_names(command) for command in shown]
    for picture in ("accuracy.png", "risk_coverage.png"):
        assert (page.parent / "tutorial" / picture).stat().st_size > 5000
    assert "unknown" in page.read_text() and "nearest" in page.read_text()
