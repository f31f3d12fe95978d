"""Image classification data sets of the Hugging Face hub, and local folders of parquet files or images in its layouts.

What is fetched is kept below the root, images included, and read from there without the network. It needs the package
`datasets` (extra `hub`); the images are decoded by this suite, as all others.
"""

import importlib.util
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hma_ft.data.datasets.base import DatasetBuilder, ImageDataset, Scan
from hma_ft.data.datasets.encoded import EncodedDataset
from hma_ft.data.draw_rules import DrawRules
from hma_ft.data.folder_layout import split_of
from hma_ft.data.folds import Fold
from hma_ft.data.lists.classes import Classes
from hma_ft.data.lists.rows import Row, label_text
from hma_ft.data.lists.tables import LABEL_COLUMNS
from hma_ft.data.options import typed_options
from hma_ft.errors import UserError
from hma_ft.files.atomic import write_atomic
from hma_ft.names import counted

if TYPE_CHECKING:
    import datasets

ORIGIN = "origin.json"  # of what was fetched; written last
_UNLABELLED = -1  # what the hub has in splits whose labels are secret


@dataclass
class HubOptions:
    """`dataset.options` of dataset=hub."""

    id: str | None = None  # OWNER/NAME on the hub; null: dataset.root is a folder of parquet files or images
    config: str | None = None  # where the data set has several
    revision: str | None = None  # commit, branch or tag
    image: str | None = None  # columns
    label: str | None = None
    group: str | None = None
    fold: str | None = None  # i/k: fold i of k is the test split


class HubRows(EncodedDataset):
    """The rows of a split."""

    def __init__(self, split: str, table: "datasets.Dataset", image: str, labels: list[int], names: list[str]) -> None:
        super().__init__(labels, names)
        self.split = split
        self.table = table.select_columns([image])
        self.image = image

    def content(self, index: int) -> bytes:
        """The bytes in the row, or of the file that it names."""
        stored = self.table[index][self.image]
        content = stored["bytes"]
        return Path(stored["path"]).read_bytes() if content is None else bytes(content)

    def sample_id(self, index: int) -> str:
        """Split and row, as they are counted on the hub."""
        return f"{self.split}/{index}"


class Hub(DatasetBuilder):
    """The splits are those of the data set; train, val and test by their usual names."""

    def __init__(self, root: Path, options: dict[str, Any]) -> None:
        super().__init__(root, options)
        self.typed = typed_options(HubOptions, options)
        if importlib.util.find_spec("datasets") is None:
            raise UserError("dataset=hub needs the package datasets: pip install datasets or pip install 'hma-ft[hub]'")

    @property
    def folder(self) -> Path:
        """Where what was fetched is kept: one folder a data set, configuration and revision."""
        name = "--".join([str(self.typed.id).replace("/", "--"), self.typed.config or "default"])
        return self.root / "hub" / f"{name}@{(self.typed.revision or 'main').replace('/', '--')}"

    def splits(self) -> dict[str, ImageDataset]:
        """`train`, and `val` and `test` where there are such splits."""
        return self.scan().require()

    def scan(self) -> Scan:
        """What the tables hold, with everything that is wrong with it."""
        tables, origin = self._tables()
        first = next(iter(tables.values()))
        image, label = _image_column(first, self.typed.image), _label_column(first, self.typed.label)
        scan = Scan({}, layout=f"{origin}: {', '.join(f'{name} ({table.num_rows})' for name, table in tables.items())}")
        chosen: dict[str, datasets.Dataset] = {}
        for name, table in tables.items():
            split = split_of(name)
            if split is None or split in chosen:
                scan.notes.append(f"left unread: split {name} ({counted(table.num_rows, 'image')})")
            elif label in table.column_names and set(table.unique(label)) != {_UNLABELLED}:
                chosen[split] = table.cast_column(image, _undecoded())
            else:
                scan.notes.append(f"left unread: split {name}, which has no labels")
        if "train" not in chosen:
            scan.problems.append(f"{origin} has no split train, but {', '.join(tables)}")
            return scan
        _add_parts(scan, chosen, image, label)
        groups = {split: [str(value) for value in self._groups(table)] for split, table in chosen.items()}
        scan.rules = DrawRules(groups if self.typed.group else {}, Fold.parse(self.typed.fold))
        return scan

    def download(self) -> None:
        """Fetch the data set and keep it below the root."""
        if self.typed.id is None:
            self.splits()  # raises, and says what is missing
            return
        import datasets
        from huggingface_hub import HfApi

        temporary = self.folder.with_name(f".{self.folder.name}.fetching")
        with _in_words(f"dataset.options.id={self.typed.id}"):
            revision = HfApi().dataset_info(self.typed.id, revision=self.typed.revision).sha
            found = datasets.load_dataset(self.typed.id, self.typed.config, revision=revision, cache_dir=str(temporary))
        self.keep(found, {"id": self.typed.id, "config": self.typed.config, "revision": revision})
        shutil.rmtree(temporary, ignore_errors=True)

    def keep(self, found: "datasets.DatasetDict", origin: dict[str, Any]) -> None:
        """Write tables with their images to `folder`; `origin` says where they are from."""
        shutil.rmtree(self.folder, ignore_errors=True)  # what was left half written
        found.save_to_disk(str(self.folder))
        write_atomic(self.folder / ORIGIN, json.dumps(origin, indent=1) + "\n")

    def _tables(self) -> tuple["datasets.DatasetDict", str]:
        """The splits by the names that they have, and where they are from, in words."""
        import datasets

        datasets.disable_progress_bars()
        if self.typed.id is not None:
            if not (self.folder / ORIGIN).is_file():
                raise UserError(
                    f"{self.typed.id} is not below dataset.root={self.root}: run `python run.py task=prepare "
                    f"dataset=hub dataset.options.id={self.typed.id}` once, with network"
                )
            origin = json.loads((self.folder / ORIGIN).read_text())
            with _in_words(str(self.folder)):
                return datasets.DatasetDict.load_from_disk(
                    str(self.folder)
                ), f"{origin['id']}@{origin['revision'][:12]}"
        if not self.root.is_dir():
            raise UserError(f"dataset.root={self.root} is not a directory: give it, or dataset.options.id=OWNER/NAME")
        with _in_words(f"dataset.root={self.root}"):
            found = datasets.load_dataset(str(self.root.absolute()), self.typed.config)
        return found, str(self.root)

    def _groups(self, table: "datasets.Dataset") -> list[Any]:
        if self.typed.group is None:
            return []
        if self.typed.group not in table.column_names:
            raise UserError(
                f"dataset.options.group={self.typed.group} is no column: there are {', '.join(table.column_names)}"
            )
        groups = list(table[self.typed.group])
        missing = sum(group is None or group == "" for group in groups)
        if missing:
            raise UserError(f"{counted(missing, 'image')} of {len(groups)} have no group in column {self.typed.group}")
        return groups


def _add_parts(scan: Scan, tables: "dict[str, datasets.Dataset]", image: str, label: str) -> None:
    """Samples of every split, by the classes that the data set names, else by the labels of train."""
    names = getattr(tables["train"].features[label], "names", None)
    rows = {}
    for split, table in tables.items():
        texts = [label_text(value) for value in table[label]]
        places = [f"{split}, row {number}" for number in range(len(texts))]
        bad = [place for place, text in zip(places, texts, strict=True) if text is None or text == str(_UNLABELLED)]
        if bad:
            scan.problems.append(f"{bad[0]}: no class in column {label} ({counted(len(bad), 'such row')})")
        rows[split] = [Row(place, "", text or "") for place, text in zip(places, texts, strict=True)]
    if scan.problems:
        return
    classes = Classes(rows["train"], names)
    scan.fixed_classes = names is not None
    for split, table in tables.items():
        scan.parts[split] = HubRows(split, table, image, classes.numbers(rows[split], split), classes.names)
    scan.problems += classes.problems


def _undecoded() -> "datasets.Image":
    import datasets

    return datasets.Image(decode=False)


def _image_column(table: "datasets.Dataset", wanted: str | None) -> str:
    import datasets

    found = [name for name, kind in table.features.items() if isinstance(kind, datasets.Image)]
    return _column(table, "image", wanted, found)


def _label_column(table: "datasets.Dataset", wanted: str | None) -> str:
    import datasets

    usual = [name for name in LABEL_COLUMNS if name in table.column_names][:1]
    found = [name for name, kind in table.features.items() if isinstance(kind, datasets.ClassLabel)]
    return _column(table, "label", wanted, usual or found)


def _column(table: "datasets.Dataset", option: str, wanted: str | None, found: list[str]) -> str:
    """The column that is wanted, else the only one found. UserError."""
    known = ", ".join(table.column_names)
    if wanted is not None:
        if wanted not in table.column_names:
            raise UserError(f"dataset.options.{option}={wanted} is no column: there are {known}")
        return wanted
    if len(found) != 1:
        raise UserError(f"which column is the {option}? Give dataset.options.{option}=COLUMN: there are {known}")
    return found[0]


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Errors of the library, of which there are dozens, in a line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{what} can't be read by the package datasets ({reason})") from error
