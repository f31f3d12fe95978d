"""Predict, export and serving of a finished run whose data set is gone, in the precision of the run."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hma_ft.config.schema import Config, Device, Task
from hma_ft.data.decode import decode
from hma_ft.engine import checkpoint
from hma_ft.engine.state import support_state
from hma_ft.errors import UserError
from hma_ft.export.own_layout import load_own_layout
from hma_ft.finished_run import FinishedRun
from hma_ft.open_options import OpenOptions
from hma_ft.serving.mlflow_model import ImageClassifier, _load_pyfunc
from hma_ft.tasks.export import export
from hma_ft.tasks.predict import predict
from tests.finished.conftest import CLASSES, Finished, Train

METHODS = [
    ("method=hma", "trainer.precision=bf16", "trainer.channels_last=true"),
    ("method=hma", "method.hma.inference=support"),
    ("method=knn", "trainer.precision=bf16"),
    ("method=head_knn",),
    ("method=head_knn", "trainer.precision=bf16"),
]
CPU = OpenOptions(device=Device.cpu, num_workers=0)


def command(run: Finished, task: Task, **values: str) -> Config:
    config = Config(task=task, run=str(run.directory), **values)
    config.trainer.device, config.trainer.num_workers = Device.cpu, 0
    return config


def predicted(run: Finished, folder: Path, images: Path, **values: str) -> np.ndarray:
    """Probabilities that `task=predict` writes, [N, C] by class; a row has the five best, which are all."""
    output = folder / "predictions.csv"
    assert predict(command(run, Task.predict, input=str(images), output=str(output), **values)) == 0
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    cells = [dict(row[f"top{rank}"].split("=") for rank in (1, 2, 3)) for row in rows]
    table = np.array([[float(row[name]) for name in CLASSES] for row in cells])
    best = np.array([float(row["probability"]) for row in rows])
    np.testing.assert_allclose(table.max(1), best, atol=5.1e-5)
    table[np.arange(len(table)), table.argmax(1)] = best  # six digits
    return table


def assert_as_printed(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for the rounding to four digits, of the best class to six."""
    np.testing.assert_allclose(found.max(1), expected.max(1), atol=6e-7)
    np.testing.assert_allclose(found, expected, atol=5.1e-5)


@pytest.mark.parametrize("overrides", METHODS, ids=" ".join)
def test_predict_says_what_the_record_says(
    finished: Train, tmp_path: Path, overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(*overrides)
    shutil.copytree(run.root / "test", tmp_path / "input")
    assert_as_printed(predicted(run, tmp_path, tmp_path / "input"), run.probabilities)
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize("overrides", [METHODS[0], METHODS[3]], ids=" ".join)
def test_an_export_is_whole(
    finished: Train, tmp_path: Path, overrides: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished(*overrides)
    folder = tmp_path / "export"
    assert export(command(run, Task.export, output=str(folder))) == 0, capsys.readouterr().out
    assert "32 made-up images" in (folder / "README.md").read_text()
    assert ("The run computed in bf16" in (folder / "README.md").read_text()) == (overrides == METHODS[0])
    method, transform, names = load_own_layout(folder)
    assert names == list(CLASSES)
    images = torch.stack([transform(decode(path)) for path in sorted((run.root / "test").rglob("*.png"))])
    with torch.no_grad(), method.inference(method.inference_modes()[0]):
        found = method(images).logits.softmax(1).numpy()  # in fp32, whatever the run computed in
    np.testing.assert_allclose(found, run.probabilities, atol=1e-5 if overrides == METHODS[3] else 2e-2)
    served = _load_pyfunc(str(folder))
    assert isinstance(served, ImageClassifier)
    with np.load(run.directory / "predictions.npz") as recorded:
        assert_served(served, sorted((run.root / "test").rglob("*.png")), recorded["probabilities"])


def assert_served(served: ImageClassifier, paths: list[Path], expected: np.ndarray) -> None:
    """A served model answers in the precision of the run."""
    import base64

    import pandas as pd

    texts = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    answer = served.predict(pd.DataFrame({"image": texts}))
    found = np.array([[row[name] for name in CLASSES] for row in answer["probabilities"]])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_bank_is_stored_once(finished: Train) -> None:
    run = finished("method=head_knn")
    files = {path.name.partition("-")[0]: path for path in (run.directory / "checkpoints").glob("*.pt")}
    for kind in ("best", "step"):
        state = checkpoint.load(files[kind])
        state = state["method"] if kind == "best" else state["learner"]["method"]
        assert not [name for name in state if name.startswith("bank.")]
    support = checkpoint.load(files["support"])
    assert support["method"]["bank.features"].shape == (24, 96)
    assert len(list((run.directory / "checkpoints").glob("support-*.pt"))) == 1


def as_an_earlier_version_left_it(run: Finished, folder: Path, *, bank: bool) -> Finished:
    """A copy without what was not saved then; `bank`: with the bank among the chosen weights, as it was."""
    old = run.copy(folder)
    state = support_state(FinishedRun(run.directory, CPU).method)
    checkpoints = old.directory / "checkpoints"
    (support,) = checkpoints.glob("support-*.pt")
    support.unlink()
    if bank:
        newest = max(checkpoints.glob("best-*.pt"))
        content = checkpoint.load(newest)
        content["method"] |= state
        newest.unlink()
        checkpoint.save(checkpoints, content, kind="best", step=int(newest.name.split("-")[1]))
    for name, key in (("data.json", "class_names"), ("env.json", "cpu")):
        values = json.loads((old.directory / name).read_text())
        del values[key]
        (old.directory / name).write_text(json.dumps(values))
    return old


@pytest.mark.parametrize(("overrides", "bank"), [(METHODS[0], False), (METHODS[1], True), (METHODS[4], True)], ids=str)
def test_an_older_run_whose_weights_hold_all_needs_no_data(
    finished: Train, tmp_path: Path, overrides: tuple[str, ...], bank: bool
) -> None:
    run = finished(*overrides)
    old = as_an_earlier_version_left_it(run, tmp_path, bank=bank)
    assert_as_printed(predicted(old, tmp_path, run.root / "test"), run.probabilities)


def test_an_older_run_reads_its_training_images_again(
    finished: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = finished("method=hma", "method.hma.inference=support")
    old = as_an_earlier_version_left_it(run, tmp_path, bank=False)
    with pytest.raises(UserError, match=r"needs its data set folder.*dataset.root=DIR"):
        predicted(old, tmp_path, run.root / "test")
    moved = FinishedRun(old.directory, OpenOptions(device=Device.cpu, num_workers=0, dataset_root=str(run.root)))
    moved.prepare_inference("support")
    assert "its support set of inference support is computed from the training images" in capsys.readouterr().err
    saved = FinishedRun(run.directory, CPU).method.state_dict()
    for name in ("head.support.features", "head.support.labels", "head.support.ids"):
        assert torch.equal(moved.method.state_dict()[name], saved[name])


def test_an_image_never_reads_its_own_row_though_the_data_set_is_gone(finished: Train, tmp_path: Path) -> None:
    """A training image is recognised by its bytes under another name, an added one by its pixels too."""
    run = finished("method=knn", "method.options.k=[1]", "method.options.temperature=[0.01]")
    source, images = run.root / "train" / "pear" / "3.png", tmp_path / "input"
    images.mkdir()
    shutil.copy(source, images / "another name.png")
    reads_itself = predicted(run, tmp_path, images)
    assert reads_itself.argmax(1).tolist() == [1] and reads_itself.max() > 0.99
    (tmp_path / "none.txt").write_text("# nothing is removed\n")
    others = predicted(run, tmp_path, images, memory_remove=str(tmp_path / "none.txt"))
    opened = FinishedRun(run.directory, CPU)
    bank = opened.method.bank
    query = torch.nn.functional.normalize(opened.predictor.features_of(opened.transform(decode(source))[None]), dim=1)
    similarity = (query @ bank.features.T).squeeze(0)
    itself = similarity.argmax()
    similarity[itself] = -1
    assert others.argmax(1).tolist() == [int(bank.labels[similarity.argmax()])]
    ids = tmp_path / "id.txt"
    ids.write_text(f"{int(bank.ids[itself])}\n")
    np.testing.assert_array_equal(predicted(run, tmp_path, images, memory_remove=str(ids)), others)

    added = tmp_path / "memory" / "plum"
    added.mkdir(parents=True)
    (images / "another name.png").unlink()
    Image.open(source).save(added / "same pixels.bmp")
    Image.open(source).save(images / "same pixels.tif")
    assert predicted(run, tmp_path, images, memory=str(tmp_path / "memory")).argmax(1).tolist() == [1]


def test_only_names_that_the_run_did_not_save_need_the_list(finished: Train, tmp_path: Path) -> None:
    run = finished("method=knn", "trainer.precision=bf16")
    listing = tmp_path / "remove.txt"
    listing.write_text("train/pear/3.png\n")
    assert len(predicted(run, tmp_path, run.root / "test", memory_remove=str(listing)))
    listing.write_text("train/pear/no such.png\n")
    with pytest.raises(UserError, match=r"needs its data set folder for this .*dataset.root=DIR"):
        predicted(run, tmp_path, run.root / "test", memory_remove=str(listing))
