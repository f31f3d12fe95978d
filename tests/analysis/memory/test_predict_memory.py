"""`task=predict` with images added to the memory and samples taken out."""

import csv
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from analysis.trained import Trained, open_run
from hma_ft.config.checks import check
from hma_ft.config.fingerprint import fingerprint
from hma_ft.config.schema import Config, Task
from hma_ft.data.datasets.base import FileDataset
from hma_ft.data.decode import decode
from hma_ft.data.image_files import LeftOut
from hma_ft.errors import UserError
from hma_ft.methods.base import LabelledFeatures
from hma_ft.methods.closed_form import ClosedForm
from hma_ft.methods.neighbours import l2_normalize
from hma_ft.tasks.predict_memory import _class_folders, named_samples
from tests import processes
from tests.analysis.conftest import Train

Predict = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def predict(tmp_path: Path) -> Predict:
    """`predict(run, ...)` classifies tmp_path/input into tmp_path/out.csv."""

    def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = [f"run={directory}", f"input={tmp_path / 'input'}", f"output={tmp_path / 'out.csv'}"]
        return processes.run(processes.RUN_PY, "task=predict", *places, *arguments, folder=tmp_path)

    return run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three noise images to classify, and two classes of others to add: memory/3 and memory/7."""
    generator = torch.Generator().manual_seed(0)
    for name in ("input/a", "input/b", "input/c", "memory/3/x", "memory/3/y", "memory/7/z"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = torch.randint(256, (8, 8, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(noise.numpy()).save(path)
    return tmp_path


def probabilities(folder: Path) -> list[float]:
    with (folder / "out.csv").open() as file:
        return [float(row["probability"]) for row in csv.DictReader(file)]


def features(trained: Trained, folder: Path) -> Tensor:
    images = [trained.transform(decode(path)) for path in sorted(folder.glob("*.png"))]
    return trained.predictor.features_of(torch.stack(images))


@pytest.mark.slow
def test_added_rows_are_read_with_their_labels(hma_run: Path, images: Path, predict: Predict) -> None:
    """Against the trained head whose queue is replaced by one written in one go."""
    assert predict(hma_run).returncode == 0
    before = probabilities(images)
    result = predict(hma_run, f"memory={images / 'memory'}")
    assert result.returncode == 0, result.stderr
    assert "memory real: 3 images added, 43 rows now" in result.stdout
    trained = open_run(str(hma_run), device="cpu")
    memory, head = trained.head.real_memory, trained.head
    added = torch.cat([features(trained, images / "memory" / name) for name in ("3", "7")])
    memory.features = torch.cat([added, memory.features])  # the order of rows does not count
    memory.labels = torch.cat([torch.tensor([3, 3, 7]), memory.labels])
    memory.ids = torch.cat([torch.full((3, 2), -1), memory.ids])
    memory.filled = torch.ones(43, dtype=torch.bool)
    with torch.no_grad():
        expected = head(features(trained, images / "input")).softmax(1).max(1).values
    assert probabilities(images) == pytest.approx(expected.tolist(), abs=2e-6)
    assert probabilities(images) != before


@pytest.mark.slow
@pytest.mark.parametrize("switches", [("method=hma",), ("method=hma", "method.hma.inference=support"), ("method=knn",)])
def test_a_image_does_not_read_its_own_row(
    train: Train, hma_run: Path, images: Path, predict: Predict, switches: tuple[str, ...]
) -> None:
    small = ("method.hma.real.size=40", "method.hma.synthetic.slots=2", "method.hma.support_size=30")
    run = hma_run if switches == ("method=hma",) else train(*switches, *(small if "knn" not in switches[0] else ()))
    shutil.rmtree(images / "memory")
    (images / "memory" / "5").mkdir(parents=True)
    shutil.copy(images / "input" / "b.png", images / "memory" / "5" / "other_name.png")
    assert predict(run).returncode == 0
    before = probabilities(images)
    result = predict(run, f"memory={images / 'memory'}")
    assert result.returncode == 0, result.stderr
    after = probabilities(images)
    if "support" in str(switches):  # support rows read the added row themselves, so even b may move a little
        assert after[1] == pytest.approx(before[1], abs=1e-2)
    else:  # the masked row changes the shape of the sum, so the last of the six written digits may
        assert after[1] == pytest.approx(before[1], abs=1.1e-6)
    assert "knn" in str(switches) or abs(after[0] - before[0]) > 1e-5


@pytest.mark.slow
def test_removed_samples_are_gone(hma_run: Path, images: Path, predict: Predict) -> None:
    trained = open_run(str(hma_run), device="cpu")
    memory, head = trained.head.real_memory, trained.head
    gone = memory.ids[:4, 0].tolist()
    absent = next(sample for sample in range(100) if sample not in memory.ids[:, 0].tolist())
    (images / "remove.txt").write_text("# noise\n" + "\n".join(map(str, [*gone, absent])) + "\n\n")
    result = predict(hma_run, f"memory_remove={images / 'remove.txt'}")
    assert result.returncode == 0, result.stderr
    assert "memory real: 4 rows of 5 named samples removed" in result.stdout
    memory.filled[:4] = False
    with torch.no_grad():
        expected = head(features(trained, images / "input")).softmax(1).max(1).values
    assert probabilities(images) == pytest.approx(expected.tolist(), abs=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ridge", "ranpac", "kernel_ridge", "ncm", "knn"])
def test_a_class_comes_and_images_go(method: str, train: Train, images: Path, predict: Predict) -> None:
    """Against the head fitted anew, from the features as they are, to what is then there."""
    run = train(f"method={method}", *(["method.options.width=150"] if method == "ranpac" else []))
    (images / "memory" / "7").rename(images / "memory" / "zebra")
    (images / "remove.txt").write_text("0\n17\n18\n")
    result = predict(run, f"memory={images / 'memory'}", f"memory_remove={images / 'remove.txt'}")
    assert result.returncode == 0, result.stderr
    assert "classes that the run did not know: zebra" in result.stdout
    assert "3 rows of 3 named samples removed" in result.stdout and "3 images added" in result.stdout
    trained = open_run(str(run), device="cpu")
    fitted, seen = trained.method, trained.evaluator.features("train")
    kept = ~torch.isin(seen.ids, torch.tensor([0, 17, 18]))
    fitted.add_classes(1)
    added = torch.cat([features(trained, images / "memory" / name) for name in ("3", "zebra")])
    everything = LabelledFeatures(
        torch.cat([seen.features[kept], added]),
        torch.cat([seen.labels[kept], torch.tensor([3, 3, 10])]),
        torch.cat([seen.ids[kept], torch.tensor([9001, 9002, 9003])]),
    )
    if isinstance(fitted, ClosedForm):
        fitted.remember(everything)
        fitted._solve()
    else:
        fitted.bank.set(*l2_normalize(everything))
    with torch.no_grad(), fitted.inference("alone"):
        expected = fitted.classify(features(trained, images / "input"), None).softmax(1)
    assert expected.shape[1] == 11
    assert probabilities(images) == pytest.approx(expected.max(1).values.tolist(), abs=2e-6)


@pytest.mark.slow
def test_what_can_not_be_added_is_one_line(train: Train, hma_run: Path, images: Path, predict: Predict) -> None:
    memory = images / "memory"
    head = train("method=head")
    assert "reads no memory of training images" in predict(head, f"memory={memory}").stderr
    (memory / "zebra").mkdir()
    result = predict(hma_run, f"memory={memory}")
    assert result.returncode == 2
    assert result.stderr.count("error: ") == 1
    assert "zebra is no class of this run, whose linear classifier is fixed" in result.stderr
    (memory / "zebra").rmdir()
    shutil.copy(memory / "3" / "x.png", memory / "loose.png")
    assert "loose.png lies in no class folder" in predict(hma_run, f"memory={memory}").stderr


def names_of(samples: FileDataset) -> Callable[[], dict[int, str]]:
    return lambda: {index: samples.sample_id(index) for index in range(len(samples))}


def test_names_and_ids_of_samples(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg")]
    samples = FileDataset(files, [0, 0, 1], ["a", "b"], tmp_path)
    listing = tmp_path / "remove.txt"
    listing.write_text("2.jpg  # by name\nb/1.jpg\n0\n0\n")
    assert named_samples(listing, count=3, names=[dict, names_of(samples)]).tolist() == [0, 1, 2]
    for line, problem in (("1.jpg", "names several"), ("9.jpg", "is no sample"), ("3", "is no sample")):
        listing.write_text(f"\n{line}\n")
        with pytest.raises(UserError, match=f"line 2: {line} {problem}"):
            named_samples(listing, count=3, names=[dict, names_of(samples)])


def test_names_with_a_hash_and_names_that_are_no_utf8(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a #1.jpg", "b.jpg", "#c.jpg", "caf\udce9.jpg")]
    samples = FileDataset(paths, [0, 1, 0, 1], ["x", "y"], tmp_path)
    listing = tmp_path / "remove.txt"
    listing.write_bytes(b"a #1.jpg\n# a comment\nb.jpg  # another\n#c.jpg\ncaf\xe9.jpg\n")
    assert named_samples(listing, count=4, names=[names_of(samples)]).tolist() == [0, 1, 2, 3]


def test_class_folders_of_a_memory_are_read_as_those_of_a_data_set(tmp_path: Path) -> None:
    """Linked, deeper, accents written in two ways; hidden and system folders are no classes."""
    for file in ("cafe\u0301/1.pgm", "dog/deep/2.png", "elsewhere/3.png", "__MACOSX/dog/4.png", ".git/5.png"):
        (tmp_path / "memory" / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / "memory" / file)
    (tmp_path / "memory" / "elsewhere").rename(tmp_path / "elsewhere")
    (tmp_path / "memory" / "dog" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "memory" / "dog" / "notes.txt").touch()
    left_out = LeftOut()
    found = _class_folders(tmp_path / "memory", ["caf\xe9", "dog"], left_out)
    assert [(label, [path.name for path in paths]) for label, paths in found] == [
        (0, ["1.pgm"]),
        (1, ["2.png", "3.png"]),
    ]
    assert left_out.suffixes == {".txt": 1} and set(left_out.system) == {"__MACOSX", ".git"}
    (tmp_path / "memory" / "stray.png").touch()
    with pytest.raises(UserError, match=r"stray\.png lies in no class folder"):
        _class_folders(tmp_path / "memory", ["caf\xe9", "dog"], LeftOut())


def test_the_keys_are_checked_and_count_for_no_run(tmp_path: Path) -> None:
    config = Config()
    assert fingerprint(config) == fingerprint(Config(memory="somewhere", memory_remove="else"))
    config.memory, config.memory_remove = str(tmp_path / "nowhere"), str(tmp_path / "nothing.txt")
    problems = "\n".join(check(config))
    for setting in ("memory", "memory_remove"):
        assert f"{setting}={getattr(config, setting)} is not read by task=train" in problems
    config.task = Task.predict
    problems = "\n".join(check(config))
    assert "nowhere is not a directory" in problems and "nothing.txt does not exist" in problems
    config = Config(task=Task.predict, memory=str(tmp_path), run=str(tmp_path), input=str(tmp_path))
    assert not [problem for problem in check(config) if problem.startswith("memory")]
