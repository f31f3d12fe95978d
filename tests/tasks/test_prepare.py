"""`task=prepare` opens every image, names every trouble, and says whether a run can train."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from hma_ft.config.schema import Config, DatasetConfig
from hma_ft.errors import UserError
from hma_ft.tasks.prepare import prepare
from tests.data.layouts import LAYOUTS, image
from tests.data.messes import mess

RunPy = Callable[..., subprocess.CompletedProcess[str]]

CONF = Path(__file__).resolve().parents[2] / "conf" / "dataset"


class Prepared(NamedTuple):
    """What `prepare` came to."""

    code: int
    lines: list[str]
    found: dict[str, Any]  # prepare.json


Prepare = Callable[..., Prepared]


@pytest.fixture
def prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Prepare:
    """`prepared("folder", root, ...)` prepares the data set of conf/dataset/NAME.yaml."""

    def run(name: str, root: Path, *, output: Path | None = None, **changes: float) -> Prepared:
        values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
        config = Config(runs_dir=str(tmp_path / "runs"), output=None if output is None else str(output))
        config.dataset = DatasetConfig(root=str(root), **values, **changes)
        code = prepare(config)
        path = output or tmp_path / "runs" / "prepare" / f"{name}.json"
        return Prepared(code, capsys.readouterr().out.splitlines(), json.loads(path.read_text()))

    return run


def test_a_published_data_set(prepared: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LAYOUTS["dtd"](tmp_path / "data", monkeypatch)
    whole = prepared("dtd", tmp_path / "data")
    assert whole.code == 0
    assert whole.lines[-1].startswith("dtd can be trained on, every image can be read (report: ")
    assert whole.found["can_train"] and whole.found["layout"] == "official splits"
    assert whole.found["classes"] == {name: {"train": 5, "val": 5, "test": 5} for name in ("banded", "dotted")}
    for split in ("train", "val", "test"):
        expected = {"images": 10, "drawn": False, "per_class": [5, 5, 5], "height": [16] * 3, "width": [20] * 3}
        assert whole.found["splits"][split] == expected

    broken = next((tmp_path / "data").rglob("dotted_0004.jpg"))
    broken.write_bytes(broken.read_bytes()[:-100])
    damaged = prepared("dtd", tmp_path / "data", output=tmp_path / "elsewhere" / "page.json")
    assert damaged.code == 2 and not damaged.found["can_train"]
    assert any(line.startswith("unreadable: dtd/dtd/images/dotted/dotted_0004.jpg (") for line in damaged.lines)
    assert "cannot train: 1 image can't be decoded: replace or remove what is named above" in damaged.lines
    (unreadable,) = damaged.found["unreadable"]
    assert (unreadable["split"], unreadable["label"]) == ("val", "dotted")


def test_images_in_memory(prepared: Prepare, tmp_path: Path) -> None:
    done = prepared("digits", tmp_path)
    assert done.code == 0
    assert [split["images"] for split in done.found["splits"].values()] == [1078, 269, 450]
    assert [split["drawn"] for split in done.found["splits"].values()] == [False, True, False]


@pytest.mark.slow
def test_what_cannot_be_fetched(run_py: RunPy) -> None:
    cars = run_py("task=prepare", "dataset=cars")
    assert cars.returncode == 2
    assert "Stanford Cars can no longer be downloaded: use dataset=hub" in cars.stderr
    assert "Traceback" not in cars.stderr


@pytest.mark.slow
def test_every_trouble_of_a_mess_is_named(run_py: RunPy, tmp_path: Path) -> None:
    mess(tmp_path / "MESS")
    done = run_py("task=prepare", "dataset=folder", "dataset.root=MESS")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    for line in (
        f"folder below {tmp_path}/MESS: one folder a class; val and test are drawn",
        "pixels: 102 RGB, 1 16-bit grey, 1 float, 1 CMYK, 1 with alpha",
        "7 images turned upright, as the EXIF orientation says",
        "left out: 1 image beside the class folders of MESS",
        "left out: 2 .mov, 1 .txt",
        "hidden and system files and folders skipped: 2 .ipynb_checkpoints, 2 @eaDir, 2 __MACOSX, 1 ._*, 1 Thumbs.db",
        "broken links and special files skipped: 1, MESS/bird/gone.png",
        "there is no test split: 20% of the training images are drawn for it by dataset.split_seed=0",
        "unreadable: cat/empty.jpg (zero bytes)",
        "unreadable: cat/page.jpg (it is a web page)",
        r"unreadable: dog/caf\xe9.jpg (no image, or of an unknown format)",
        "warning: 1 image in several classes at once (such as cat/04.png is cat, dog/not a cat.png is dog)",
        "warning: val has no images of gnu: nothing can be said about them there",
        "warning: test has no images of gnu: nothing can be said about them there",
        "warning: 1 image at least 10 times as long as wide: the centre crop shows little of such a strip "
        "(bird/strip.png, 400 x 1)",
        "cannot train: 4 images can't be decoded: replace or remove what is named above",
        "folder cannot be trained on (report: runs/prepare/folder.json)",
    ):
        assert line in lines, f"{line}\n{done.stdout}"
    assert any(line.startswith("unreadable: dog/cut.jpg (image file is truncated") for line in lines)
    assert any(line.startswith("warning: the classes are very unequal: ") for line in lines)
    assert any(line.startswith("warning: fewer than 5 training images: ") for line in lines)


def test_the_report_of_a_mess(prepared: Prepare, tmp_path: Path) -> None:
    mess(tmp_path / "MESS")
    found = prepared("folder", tmp_path / "MESS").found
    totals = {name: sum(counts.values()) for name, counts in found["classes"].items()}
    assert totals == {"bird": 73, "cat": 15, "dog": 17, "fish": 4, "gnu": 1}
    assert {frozenset(image["file"] for image in group) for group in found["equal_images"]} == {
        frozenset({"cat/03.png", "cat/again.png"}),
        frozenset({"cat/04.png", "dog/not a cat.png"}),
    }
    assert found["label_conflicts"] == 1 and found["exif_rotated"] == 7
    assert [image["file"] for image in found["unreadable"]] == sorted(image["file"] for image in found["unreadable"])
    assert found["suffixes_left_out"] == {".mov": 2, ".txt": 1}
    assert found["extreme_shapes"] == [{"file": "bird/strip.png", "height": 1, "width": 400}]


@pytest.mark.slow
def test_a_mess_that_is_mended_can_train(run_py: RunPy, prepared: Prepare, tmp_path: Path, tiny: list[str]) -> None:
    mess(tmp_path / "MESS")
    for name in ("cat/empty.jpg", "cat/page.jpg", "dog/cut.jpg", "dog/caf\udce9.jpg"):
        (tmp_path / "MESS" / name).unlink()
    ready = prepared("folder", tmp_path / "MESS")
    assert ready.code == 0
    assert ready.lines[-1].startswith("folder can be trained on; ")
    settings = [*(setting for setting in tiny if setting != "dataset=digits"), "trainer.max_steps=2"]
    run = run_py(*settings, "method=head", "dataset=folder", "dataset.root=MESS", "scheduler.warmup_steps=0")
    assert run.returncode == 0, run.stderr
    for line in ("data: left out: 2 .mov, 1 .txt", "data: there is no test split: 20% of the training images"):
        assert line in run.stdout
    (directory,) = (tmp_path / "runs" / "folder").iterdir()
    data = json.loads((directory / "data.json").read_text())
    for split in ("train", "val", "test"):
        assert data[split] == ready.found["splits"][split]["images"]


def test_equal_images_across_splits_and_a_replaced_one(prepared: Prepare, tmp_path: Path) -> None:
    """The file is replaced in place by one of the same size, and its time put back: contents are read again."""
    root = tmp_path / "data"
    for split, first in (("train", 0), ("test", 50)):
        for label, name in enumerate(("cat", "dog")):
            for number in range(10):
                path = root / split / name / f"{number}.bmp"
                image(path, first + 100 * label + number)
                os.utime(path, ns=(0, 0))
    before = prepared("folder", root)
    assert before.code == 0 and not before.found["warnings"] and not before.found["equal_images"]
    (root / "test/cat/8.bmp").write_bytes((root / "train/cat/3.bmp").read_bytes())
    os.utime(root / "test/cat/8.bmp", ns=(0, 0))
    after = prepared("folder", root)
    assert after.code == 0
    shared = {(pair["split"], pair["other"]): pair["count"] for pair in after.found["equal_across_splits"]}
    assert shared["test", "train"] + shared["test", "val"] == 1
    (warning,) = after.found["warnings"]
    assert warning.startswith("1 of 20 test images are in ") and "test/cat/8.bmp = train/cat/3.bmp" in warning


def test_every_reason_not_to_train_is_a_line(prepared: Prepare, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name in ("train/Cat", "train/dog", "test/cat", "test/dog"):
        image(root / name / "1.png", len(name))
    (root / "train" / "owl").mkdir()
    done = prepared("folder", root)
    assert done.code == 2
    reasons = done.found["reasons"]
    assert reasons[:2] == [
        f"{root}/train: class owl has no training images: add some, or move the folder away",
        f"{root}/test: test has classes that train lacks: cat (train has Cat: rename one)",
    ]
    assert "val can't be drawn from train, where no class has two images left" in reasons[2]
    assert {f"cannot train: {reason}" for reason in reasons} <= set(done.lines)


def test_an_unknown_layout_is_told_too(prepared: Prepare, tmp_path: Path) -> None:
    root = tmp_path / "data"
    image(root / "outer" / "cat" / "1.png", 1)
    image(root / "outer" / "dog" / "1.png", 2)
    done = prepared("folder", root)
    assert done.code == 2
    assert done.found["reasons"] == [
        f"{root} holds only the folder outer, which holds cat, dog: give dataset.root={root}/outer"
    ]


def test_conditions_that_the_data_do_not_allow(prepared: Prepare, tmp_path: Path) -> None:
    for number in range(20):
        image(tmp_path / "data" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    done = prepared("folder", tmp_path / "data", train_per_class=9)
    assert done.code == 2
    assert done.found["reasons"] == ["dataset.train_per_class=9, but class cat has 6 training images"]
    assert done.found["splits"]["train"]["images"] == 13


def test_a_class_name_with_markup(prepared: Prepare, tmp_path: Path) -> None:
    for number in range(20):
        image(tmp_path / "data" / ("[red]cat", "a, b=c #1")[number % 2] / f"[bold]{number}.png", number)
    done = prepared("folder", tmp_path / "data")
    assert done.code == 0
    assert any("[red]cat" in line for line in done.lines) and any("a, b=c #1" in line for line in done.lines)


def test_an_output_that_cannot_be_written_is_said_first(prepared: Prepare, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"/proc/none/page.json can't be written \(No such file or directory\): give"):
        prepared("digits", tmp_path, output=Path("/proc/none/page.json"))
    with pytest.raises(UserError, match=r"can't be written \(is a folder\): give another file by output=FILE"):
        prepared("digits", tmp_path, output=tmp_path)
