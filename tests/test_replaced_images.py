"""Other pixels under the same names: no store, cache or record takes them for the images of before.

Every run here is a real one, and what it should come to is what a run says that neither stores features nor caches.
"""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate.state import AcceleratorState
from hydra import compose, initialize_config_dir
from PIL import Image

from hma_ft.config import typed
from hma_ft.config.register import register_schema
from hma_ft.data import content_index
from hma_ft.errors import Interrupted, UserError
from hma_ft.experiment import run
from tests.data.layouts import LAYOUTS

REPOSITORY = Path(__file__).resolve().parent.parent
PER_SPLIT = 8
SETTINGS = [
    *("model=vit_micro", "method=head", "augment=digits", "optimizer.lr=0.1", "tracking=off"),
    *(
        "trainer.device=cpu",
        "trainer.num_workers=0",
        "trainer.batch_size=8",
        "trainer.eval_every=5",
        "trainer.max_steps=5",
    ),
    "scheduler.warmup_steps=0",
]
CACHED = ["dataset.cache=disk", "fresh=true"]
UNCACHED = ["dataset.cache=none", "trainer.cache_features=false", "fresh=true"]

Result = dict[str, Any]


@pytest.fixture(autouse=True)
def _young_files_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the second run meets an index that knows the first one's files.

    Accelerate keeps the precision of a process's first run; another test of this worker may have had another one.
    """
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr(content_index, "_SETTLED_NS", 0)


def outcome(name: str, root: Path, runs: Path, *more: str) -> Result:
    """Figures and data of a run in this process."""
    register_schema()
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        overrides = [*SETTINGS, f"dataset={name}", f"dataset.root={root}", f"runs_dir={runs}", *more]
        directory = run(typed(compose("config", overrides))).directory
    result = json.loads((directory / "result.json").read_text())
    return {key: value for key, value in result.items() if key.startswith(("val/", "test/", "data/"))}


def figures(result: Result) -> Result:
    return {key: value for key, value in result.items() if not key.startswith("data/")}


def write_image(path: Path, seed: int, size: int = 16) -> None:
    """A PNG of noise whose file is as long as that of any other seed and size up to 24."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content + bytes(3000 - len(content)))


def folder(root: Path, first_seed: int, size: int = 16) -> None:
    """Train, val and test of two classes."""
    for number in range(3 * PER_SPLIT):
        split, label = ("train", "val", "test")[number % 3], ("cat", "dog")[number // 3 % 2]
        write_image(root / split / label / f"{number}.png", first_seed + number, size)


def copied_over(root: Path) -> None:
    folder(root.with_name("other"), 1000)
    shutil.copytree(root.with_name("other"), root, dirs_exist_ok=True, copy_function=shutil.copyfile)


def replaced(root: Path, write: Callable[[Path, bytes], None], *, size: int = 16) -> None:
    """Give every file another image's bytes; the file's size and time of modification stay."""
    other = root.with_name("other")
    folder(other, 1000, size)
    for path in sorted(root.rglob("*.png")):
        before = path.stat()
        write(path, (other / path.relative_to(root)).read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def in_place(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def as_rsync_does(path: Path, content: bytes) -> None:
    temporary = path.with_name(".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


WAYS: dict[str, Callable[[Path], None]] = {
    "copied over": copied_over,
    "in place, size and time restored": lambda root: replaced(root, in_place),
    "new inode, same size and time": lambda root: replaced(root, as_rsync_does),
    "another image size": lambda root: replaced(root, in_place, size=24),
}


@pytest.mark.parametrize("way", WAYS)
def test_files_replaced_between_two_runs(way: str, tmp_path: Path) -> None:
    root, runs = tmp_path / "data", tmp_path / "runs"
    folder(root, 0)
    before = outcome("folder", root, runs, *CACHED)
    assert before == outcome("folder", root, runs, *CACHED)
    WAYS[way](root)
    after = outcome("folder", root, runs, *CACHED)
    assert figures(after) == figures(outcome("folder", root, tmp_path / "uncached", *UNCACHED))
    assert after["test/nll"] != before["test/nll"]
    for split in ("train", "val", "test"):
        assert after[f"data/{split}_digest"] == before[f"data/{split}_digest"]
        assert after[f"data/{split}_content"] != before[f"data/{split}_content"]


def test_another_root_with_the_same_names(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, first_seed in (("a", 0), ("b", 1000)):
        folder(tmp_path / name, first_seed)
    one = outcome("folder", tmp_path / "a", runs, *CACHED)
    other = outcome("folder", tmp_path / "b", runs, *CACHED)
    assert figures(other) == figures(outcome("folder", tmp_path / "b", tmp_path / "uncached", *UNCACHED))
    assert figures(other) != figures(one)
    assert figures(outcome("folder", tmp_path / "a", runs, *CACHED)) == figures(one)


def test_the_same_images_under_other_names_are_the_same(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    folder(tmp_path / "a", 0)
    one = outcome("folder", tmp_path / "a", runs, *CACHED)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for path in sorted((tmp_path / "b").rglob("*.png")):
        path.rename(path.with_name(f"image-{path.name}"))
    stores = {path.name for kind in ("features", "images") for path in (runs / kind).iterdir()}
    other = outcome("folder", tmp_path / "b", runs, *CACHED)
    assert figures(other) == figures(one)
    assert {path.name for kind in ("features", "images") for path in (runs / kind).iterdir()} == stores
    assert other["data/test_content"] == one["data/test_content"]
    assert other["data/test_digest"] != one["data/test_digest"]


@pytest.mark.parametrize("name", ["flowers102", "cifar10"])
def test_sets_that_torchvision_reads(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, runs = tmp_path / "data", tmp_path / "runs"
    LAYOUTS[name](root, monkeypatch)
    before = outcome(name, root, runs, *CACHED)
    if name == "flowers102":
        for path in sorted(root.rglob("*.jpg")):
            pixels = np.asarray(Image.open(path))
            Image.fromarray(255 - pixels).save(path)
    else:
        shutil.rmtree(root)
        real = np.random.default_rng
        monkeypatch.setattr(np.random, "default_rng", lambda seed: real(seed + 1))
        LAYOUTS[name](root, monkeypatch)
        monkeypatch.setattr(np.random, "default_rng", real)
    after = outcome(name, root, runs, *CACHED)
    assert figures(after) == figures(outcome(name, root, tmp_path / "uncached", *UNCACHED))
    assert after["test/nll"] != before["test/nll"]
    assert after["data/test_digest"] == before["data/test_digest"]


def test_a_finished_run_says_that_its_images_have_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, runs = tmp_path / "data", tmp_path / "runs"
    folder(root, 0)
    made = outcome("folder", root, runs)
    capsys.readouterr()
    assert outcome("folder", root, runs) == made
    said = capsys.readouterr()
    assert "This run is finished" in said.out and "changed" not in said.err
    write_image(root / "test" / "cat" / "2.png", 5000)
    assert outcome("folder", root, runs) == made
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"warning: images or labels of test below dataset.root={root} have changed since this run; "
        "its results are of the earlier ones"
    )
    shutil.rmtree(root)
    assert outcome("folder", root, runs) == made


def test_a_run_does_not_continue_on_other_images(tmp_path: Path) -> None:
    root, kept, runs = tmp_path / "data", tmp_path / "kept", tmp_path / "runs"
    folder(root, 0)
    shutil.copytree(root, kept)
    longer = ["trainer.max_steps=80", "trainer.eval_every=10", "trainer.checkpoint_minutes=0"]

    def stop_after_a_checkpoint() -> None:
        while not list(runs.glob("folder/*/checkpoints/step-*.pt")):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=stop_after_a_checkpoint, daemon=True)
    killer.start()
    with pytest.raises(Interrupted):
        outcome("folder", root, runs, *longer)
    killer.join()

    write_image(root / "val" / "dog" / "4.png", 5000)
    (directory,) = (runs / "folder").iterdir()
    recorded = (directory / "data.json").read_text()
    with pytest.raises(UserError) as refused:
        outcome("folder", root, runs, *longer)
    assert str(refused.value) == (
        f"the val images of folder below dataset.root={root} are not those that this run began with: "
        "bring those back, or start over with fresh=true"
    )
    assert (directory / "data.json").read_text() == recorded

    continued = outcome("folder", kept, runs, *longer)  # the images it began with, at another place
    assert json.loads((directory / "status.json").read_text())["starts"] == 3
    assert continued == outcome("folder", kept, tmp_path / "untouched", *longer)
