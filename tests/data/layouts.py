"""Small data sets on disk, laid out as torchvision expects the real ones."""

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

PER_CLASS = 5


def image(path: Path, seed: int, size: tuple[int, int] = (20, 16)) -> None:
    """A JPEG (or what the name says) of noise around a grey value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], 3)) + (seed * 37) % 190
    Image.fromarray(noise.astype(np.uint8)).save(path)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def dtd(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(("banded", "dotted")):
        for number, split in enumerate(["train", "val", "test"] * PER_CLASS):
            file = f"{name}/{name}_{number:04d}.jpg"
            image(root / "dtd/dtd/images" / file, 100 * label + number)
            names[split].append(file)
    (root / "dtd/dtd/labels").mkdir()
    for split, files in names.items():
        (root / f"dtd/dtd/labels/{split}1.txt").write_text("\n".join(files) + "\n")


def flowers102(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "flowers-102"
    count = 2 * 3 * PER_CLASS
    for number in range(1, count + 1):
        image(folder / f"jpg/image_{number:05d}.jpg", number)
    ids = np.arange(1, count + 1)
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": 1 + ids % 2})
    parts = np.array_split(ids, 3)
    scipy.io.savemat(folder / "setid.mat", dict(zip(("trnid", "valid", "tstid"), parts, strict=True)))
    monkeypatch.setattr(datasets.Flowers102, "classes", ["pink primrose", "hard-leaved pocket orchid"], raising=False)
    monkeypatch.setattr(
        datasets.Flowers102,
        "_file_dict",
        {
            "label": ("imagelabels.mat", _md5(folder / "imagelabels.mat")),
            "setid": ("setid.mat", _md5(folder / "setid.mat")),
            "image": ("102flowers.tgz", ""),
        },
    )


def food101(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "food-101"
    (folder / "meta").mkdir(parents=True)
    for split, first in (("train", 0), ("test", 100)):
        index = {name: [f"{name}/{first + i}" for i in range(PER_CLASS)] for name in ("apple_pie", "waffles")}
        (folder / f"meta/{split}.json").write_text(json.dumps(index))
        for label, files in enumerate(index.values()):
            for number, file in enumerate(files):
                image(folder / f"images/{file}.jpg", 1000 * label + first + number)


def pets37(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for split, first in (("trainval", 0), ("test", 100)):
        lines = []
        for label, name in enumerate(("Abyssinian", "beagle")):
            for number in range(first, first + PER_CLASS):
                lines.append(f"{name}_{number} {label + 1} 1 1")
                image(folder / f"images/{name}_{number}.jpg", 1000 * label + number)
        (folder / f"annotations/{split}.txt").write_text("\n".join(lines) + "\n")


def aircraft(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = root / "fgvc-aircraft-2013b/data"
    (data / "images").mkdir(parents=True)
    (data / "variants.txt").write_text("707-320\nA310\n")
    for split, first in (("train", 0), ("val", 100), ("test", 200)):
        lines = []
        for label, name in enumerate(("707-320", "A310")):
            for number in range(first + 50 * label, first + 50 * label + PER_CLASS):
                lines.append(f"{number:07d} {name}")
                image(data / f"images/{number:07d}.jpg", number)
        (data / f"images_variant_{split}.txt").write_text("\n".join(lines) + "\n")


def cars(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    names = np.array(["Acura RL Sedan 2012", "BMW M3 Coupe 2012"], dtype=object)
    scipy.io.savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
    kind = [("fname", object), ("class", object)]
    for split, file in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = np.array([(f"{i:05d}.jpg", 1 + i % 2) for i in range(2 * PER_CLASS)], dtype=kind)
        scipy.io.savemat(folder / file, {"annotations": rows})
        for number in range(2 * PER_CLASS):
            image(folder / f"cars_{split}/{number:05d}.jpg", number + 1000 * (split == "test"))


def stl10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    generator = np.random.default_rng(0)
    for split in ("train", "test", "unlabeled"):
        generator.integers(0, 255, (2 * PER_CLASS, 3, 96, 96), dtype=np.uint8).tofile(folder / f"{split}_X.bin")
        (1 + np.arange(2 * PER_CLASS) % 2).astype(np.uint8).tofile(folder / f"{split}_y.bin")
    sums = {path.name: _md5(path) for path in folder.glob("*.bin")}
    files = [["train_X.bin"], ["train_y.bin"], ["unlabeled_X.bin"]], [["test_X.bin"], ["test_y.bin"]]
    train, test = ([[name, sums[name]] for (name,) in part] for part in files)
    monkeypatch.setattr(datasets.STL10, "train_list", train)
    monkeypatch.setattr(datasets.STL10, "test_list", test)


def _cifar(root: Path, monkeypatch: pytest.MonkeyPatch, dataset: type[datasets.CIFAR10], key: str, names: str) -> None:
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for file in ("train", "test"):
        data = generator.integers(0, 255, (2 * PER_CLASS, 3072), dtype=np.uint8)
        content = {"data": data, key: [i % 2 for i in range(2 * PER_CLASS)]}
        (folder / file).write_bytes(pickle.dumps(content))
    (folder / "meta").write_bytes(pickle.dumps({names: ["cat", "dog"]}))
    monkeypatch.setattr(dataset, "train_list", [["train", _md5(folder / "train")]])
    monkeypatch.setattr(dataset, "test_list", [["test", _md5(folder / "test")]])
    monkeypatch.setattr(dataset, "meta", {"filename": "meta", "key": names, "md5": _md5(folder / "meta")})


def cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _cifar(root, monkeypatch, datasets.CIFAR10, "labels", "label_names")


def cifar100(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _cifar(root, monkeypatch, datasets.CIFAR100, "fine_labels", "fine_label_names")


def places365(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(exist_ok=True)
    (root / "categories_places365.txt").write_text("/a/airfield 0\n/b/beach 1\n")
    train = [(f"/{name}/{i:08d}.jpg", label) for label, name in enumerate("ab") for i in range(PER_CLASS)]
    val = [(f"Places365_val_{i:08d}.jpg", i % 2) for i in range(2 * PER_CLASS)]
    (root / "places365_train_standard.txt").write_text("".join(f"{file} {label}\n" for file, label in train))
    (root / "places365_val.txt").write_text("".join(f"{file} {label}\n" for file, label in val))
    for number, (file, _) in enumerate(train):
        image(root / "data_256_standard" / file.lstrip("/"), number)
    for number, (file, _) in enumerate(val):
        image(root / "val_256" / file, 1000 + number)
    monkeypatch.setattr(
        datasets.Places365,
        "_CATEGORIES_META",
        ("categories_places365.txt", _md5(root / "categories_places365.txt")),
    )
    lists = {
        "train-standard": ("places365_train_standard.txt", _md5(root / "places365_train_standard.txt")),
        "val": ("places365_val.txt", _md5(root / "places365_val.txt")),
    }
    monkeypatch.setattr(datasets.Places365, "_FILE_LIST_META", lists)


def folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(PER_CLASS):
                image(root / split / name / f"{number}.png", 1000 * (split == "test") + 100 * label + number)


Build = Callable[[Path, pytest.MonkeyPatch], None]
LAYOUTS: dict[str, Build] = {
    build.__name__: build
    for build in (aircraft, cars, cifar10, cifar100, dtd, flowers102, folder, food101, pets37, places365, stl10)
}
