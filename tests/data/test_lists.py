"""Lists of images in the formats that people have, and what is wrong with some of them."""

import json
from pathlib import Path

import pytest

from hma_ft.data.splits import Splits, load_splits
from hma_ft.errors import UserError
from hma_ft.tasks.prepare import prepare
from tests.config.test_compose import composed
from tests.data.layouts import image

COUNT = 24


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """24 images in `images`, number i of class i mod 3; a blank and a hash in every name."""
    for number in range(COUNT):
        image(tmp_path / "images" / f"a #{number}.png", number, (4, 4))
    return tmp_path


def path(number: int) -> str:
    return f"images/a #{number}.png"


def listed(root: Path, **options: str) -> Splits:
    config = composed("dataset=listed", f"dataset.root={root}").dataset
    config.options |= options
    return load_splits(config)


def problem(root: Path, **options: str) -> str:
    with pytest.raises(UserError) as raised:
        listed(root, **options)
    return str(raised.value)


def content(splits: Splits) -> dict[str, list[tuple[str, str]]]:
    """Names and class names of each split."""
    return {
        split: [(samples.sample_id(i), splits.class_names[samples.labels[i]]) for i in range(len(samples))]
        for split, samples in splits.by_name.items()
    }


PARTS = {"train": range(12), "val": range(12, 18), "test": range(18, 24)}
WORDS = ("crow", "owl", "tit")


def expected(names: tuple[str, ...]) -> dict[str, list[tuple[str, str]]]:
    return {split: [(path(number), names[number % 3]) for number in numbers] for split, numbers in PARTS.items()}


def as_text(root: Path) -> dict[str, str]:
    """NOAH's lists: labels are numbers, names may hold blanks."""
    for split, numbers in PARTS.items():
        (root / f"{split}.txt").write_text("".join(f"{path(n)} {n % 3}\n" for n in numbers))
    return {}


def as_few_shot(root: Path) -> dict[str, str]:
    """NOAH's few-shot lists: beside the images' folder, with a suffix that says nothing."""
    (root / "annotations").mkdir()
    files = {"train": "train_meta.list.num_shot_4.seed_0", "val": "val_meta.list", "test": "test_meta.list"}
    for split, numbers in PARTS.items():
        lines = [f"a #{n}.png {n % 3}" for n in numbers]
        (root / "annotations" / files[split]).write_text("\n".join(lines))
    return {split: f"annotations/{file}" for split, file in files.items()} | {"images": "images"}


def as_vpt_json(root: Path) -> dict[str, str]:
    for split, numbers in PARTS.items():
        (root / f"{split}.json").write_text(json.dumps({path(n): n % 3 for n in numbers}))
    return {}


def as_absolute_tsv(root: Path) -> dict[str, str]:
    for split, numbers in PARTS.items():
        lines = ["class\tfile", *(f"{n % 3}\t{root / path(n)}" for n in numbers)]
        (root / f"{split}.tsv").write_text("\r\n".join(lines))
    return {}


def as_coop_json(root: Path) -> dict[str, str]:
    splits = {split: [[path(n), n % 3, WORDS[n % 3]] for n in numbers] for split, numbers in PARTS.items()}
    (root / "split_zhou_Birds.json").write_text(json.dumps(splits))
    return {}


def as_csv_with_splits(root: Path) -> dict[str, str]:
    lines = ["id,image,split,species,Label"]
    lines += [f'{n},"{path(n)}",{split},x,{WORDS[n % 3]}' for split, numbers in PARTS.items() for n in numbers]
    (root / "birds.csv").write_text("\ufeff" + "\n".join(lines))
    (root / "README.txt").write_text("no list")
    return {}


def as_semicolons(root: Path) -> dict[str, str]:
    for split, numbers in PARTS.items():
        (root / f"{split}.csv").write_text("path;label\n" + "".join(f"{path(n)};{WORDS[n % 3]}\n" for n in numbers))
    return {}


def without_header(root: Path) -> dict[str, str]:
    for split, numbers in PARTS.items():
        (root / f"{split}.csv").write_text("".join(f"{path(n)},{WORDS[n % 3]}\n" for n in numbers))
    return {}


def as_json_lines(root: Path) -> dict[str, str]:
    """Metadata as Hugging Face's image folders have it, with other names for the splits."""
    called = {"train": "training", "val": "validation", "test": "test"}
    rows = [
        {"file_name": path(n), "target": WORDS[n % 3], "split": called[split]}
        for split, numbers in PARTS.items()
        for n in numbers
    ]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    return {}


def with_class_names(root: Path) -> dict[str, str]:
    (root / "classes.txt").write_text("\n".join(WORDS))
    return as_text(root) | {"classes": "classes.txt"}


@pytest.mark.parametrize("write", [as_text, as_few_shot, as_vpt_json, as_absolute_tsv])
def test_formats_with_numbers(root: Path, write: object) -> None:
    assert content(listed(root, **write(root))) == expected(("0", "1", "2"))  # type: ignore[operator]


@pytest.mark.parametrize(
    "write", [as_coop_json, as_csv_with_splits, as_semicolons, without_header, as_json_lines, with_class_names]
)
def test_formats_with_words(root: Path, write: object) -> None:
    assert content(listed(root, **write(root))) == expected(WORDS)  # type: ignore[operator]


def test_numbers_are_classes_in_their_order(root: Path) -> None:
    (root / "train.txt").write_text("".join(f"{path(n)} {(76, 9, 100)[n % 3]}\n" for n in range(COUNT)))
    assert listed(root).class_names == ["9", "76", "100"]


def test_equal_class_names_are_told_apart(root: Path) -> None:
    rows = [[path(n), n % 3, ("crane", "owl", "crane")[n % 3]] for n in range(COUNT)]
    (root / "split.json").write_text(json.dumps({"train": rows}))
    assert listed(root).class_names == ["crane (0)", "owl", "crane (2)"]


def test_a_list_without_splits_is_drawn_from(root: Path) -> None:
    lines = ["path,label,farm", *(f"{path(n)},{WORDS[n % 3]},farm {n // 6}" for n in range(COUNT))]
    (root / "birds.csv").write_text("\n".join(lines))
    splits = listed(root, group="farm")
    farms = {split: {int(name.split("#")[1][:-4]) // 6 for name, _ in rows} for split, rows in content(splits).items()}
    assert sorted(farm for own in farms.values() for farm in own) == [0, 1, 2, 3]
    by_pattern = listed(root, group=r"#(\d)", fold="2/2")
    assert {name.split("#")[1][0] for name, _ in content(by_pattern)["test"]}.isdisjoint(
        {name.split("#")[1][0] for name, _ in content(by_pattern)["train"]}
    )


def test_a_column_that_test_lacks(root: Path) -> None:
    """Noisy labels in train, the clean ones in test: as CIFAR-10N has them."""
    noisy = [f"{path(n)},{WORDS[n % 3]},{WORDS[(n + 1) % 3]}" for n in range(12)]
    (root / "train.csv").write_text("\n".join(["path,clean,worse", *noisy]))
    (root / "test.csv").write_text("\n".join(["path,clean", *(f"{path(n)},{WORDS[n % 3]}" for n in range(12, 24))]))
    splits = listed(root, label="worse")
    assert content(splits)["test"] == [(path(n), WORDS[n % 3]) for n in range(12, 24)]
    assert all(name == WORDS[(int(file.split("#")[1][:-4]) + 1) % 3] for file, name in content(splits)["train"])
    assert splits.notes == ["test.csv has no column worse: its labels are those of clean"]
    assert problem(root) == (
        f"{root}/train.csv, line 1: has no column of labels: give dataset.options.label=COLUMN; "
        "the columns are path, clean, worse"
    )
    assert "no column dataset.options.label=wors: give" in problem(root, label="wors")
    (root / "train.csv").write_text("\n".join(["path,clean", *(row.rpartition(",")[0] for row in noisy)]))
    assert problem(root, label="worse") == (
        f"{root}/train.csv, line 1: has no column dataset.options.label=worse: give dataset.options.label=COLUMN; "
        "the columns are path, clean"
    )


def test_repeated_rows_are_kept_counted_and_never_divided(root: Path) -> None:
    rows = [f"{path(n)} {n % 3}" for n in range(COUNT)] * 2 + [f"{path(0)} 1"]
    (root / "train.txt").write_text("\n".join(rows))
    splits = listed(root)
    names = {split: [name for name, _ in rows] for split, rows in content(splits).items()}
    assert sum(map(len, names.values())) == 49
    assert len({name for own in names.values() for name in set(own)}) == sum(len(set(own)) for own in names.values())
    assert splits.notes[0] == (
        "25 of 49 rows of train name an image that an earlier row names, and are kept; 1 image with several labels"
    )


MISTAKES = [
    ("train.txt", "{0} 0\n\nnameless.png\n", "train.txt, line 3: 'nameless.png' must be a path and a label"),
    ("train.csv", "path,label\n{0},a\n{0},b,c\n", "train.csv, line 3: 3 fields, where the header has 2"),
    ("train.csv", "path,label\n{0},a\n{0},\n", "train.csv, line 3: no single label in column label"),
    ("train.csv", 'path,label\n{0},a\n"{0},b\n', "train.csv, line 3: no CSV (unexpected end of data)"),
    ("train.csv", "where,label\n{0},a\n", "train.csv, line 1: has no column of paths: give dataset.options.path"),
    ("train.csv", "path,label\n{0},a\nno.png,b\n", "train.csv, line 3: {root}/no.png is no file"),
    ("train.jsonl", '{{"path": "{0}", "label": 1}}\nx', "train.jsonl, line 2: no JSON (Expecting value)"),
    ("train.jsonl", '{{"path": "{0}", "label": [1, 2]}}', "train.jsonl, line 1: no single label in column label"),
    ("train.json", '{{"{0}": 0,\n "x": }}', "train.json, line 2: no JSON (Expecting value)"),
    ("train.json", '{{"train": [["{0}", 0], ["x"]]}}', "train.json, train, entry 2: must be a path and a label"),
    ("train.json", "5", "train.json: neither an object nor a list of images"),
    ("birds.csv", "path,label,split\n{0},a,spare\n", "birds.csv, line 2: split is 'spare', and must be train"),
    ("train.txt", "", "train.txt names no images"),
]


@pytest.mark.parametrize(("file", "text", "told"), MISTAKES, ids=[told for _, _, told in MISTAKES])
def test_every_mistake_is_one_line_with_its_place(root: Path, file: str, text: str, told: str) -> None:
    (root / file).write_text(text.format(path(0)))
    line = problem(root)
    assert told.format(root=root) in line and "\n" not in line


def test_many_mistakes_are_counted(root: Path) -> None:
    (root / "train.txt").write_text("x\n" * 40)
    lines = problem(root).splitlines()
    assert len(lines) == 6 and lines[-1] == f"{root}/train.txt: and 35 more such lines"


def test_no_utf8(root: Path) -> None:
    (root / "train.txt").write_bytes(f"{path(0)} 0\ncaf\xe9.png 1\n".encode("latin-1"))
    assert problem(root) == f"{root}/train.txt, line 2: no UTF-8: save the list in that encoding"


def test_classes_that_train_lacks(root: Path) -> None:
    (root / "train.txt").write_text("".join(f"{path(n)} {WORDS[n % 3]}\n" for n in range(12)))
    (root / "test.txt").write_text("".join(f"{path(n)} {('Owl', 'elk')[n % 2]}\n" for n in range(12, 24)))
    assert problem(root) == (
        f"{root}/test.txt, line 1: test has classes that train lacks: Owl (train has owl: rename one), elk"
    )


def test_images_of_another_folder_are_found_by_a_guess(root: Path) -> None:
    (root / "train.txt").write_text("a #0.png 0\na #1.png 1\n")
    assert problem(root).splitlines()[-1] == "dataset.options.images=images is where a #0.png lies"


def test_which_file_is_the_list(root: Path) -> None:
    assert "holds no list (.csv" in problem(root)
    (root / "a.csv").write_text("path,label\n")
    (root / "b.csv").write_text("path,label\n")
    assert "holds several that may be lists (a.csv, b.csv): say which by dataset.options.file=FILE" in problem(root)
    (root / "test.csv").write_text("path,label\n")
    assert "has lists of test but none of train" in problem(root)
    assert "dataset.options.train=c.csv is no file" in problem(root, train="c.csv")
    assert "is given without dataset.options.train" in problem(root, val="a.csv")


def test_prepare_reads_lists(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    as_text(root)
    config = composed("task=prepare", "dataset=listed", f"dataset.root={root}", f"runs_dir={root / 'runs'}")
    assert prepare(config) == 0
    report = json.loads((root / "runs/prepare/listed.json").read_text())
    assert report["layout"] == "lists: train.txt, val.txt, test.txt"


def test_cifar10n_has_real_wrong_labels_in_train_and_clean_ones_in_test(shared: Path) -> None:
    """The shares of its README: about 40 % of `worse` are wrong, none of test."""
    folder = shared / "data" / "cifar10n"
    worse, clean = (content(listed(folder, label=label)) for label in ("worse", "clean"))
    truth = dict(clean["train"] + clean["val"])
    wrong = [truth[name] != label for name, label in worse["train"] + worse["val"]]
    assert len(wrong) == 5000 and 0.38 < sum(wrong) / len(wrong) < 0.42
    assert worse["test"] == clean["test"] and len(worse["test"]) == 2000
