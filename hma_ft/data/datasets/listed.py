"""Your own images in lists: CSV, TSV, JSON lines, `path label` lines, JSON of splits; a file a split, or one of all."""

from dataclasses import dataclass

from hma_ft.data.datasets.base import DatasetBuilder, ImageDataset, Scan
from hma_ft.data.folds import Fold
from hma_ft.data.lists.classes import read_class_names
from hma_ft.data.lists.find import find_lists
from hma_ft.data.lists.rows import Columns
from hma_ft.data.lists.scan import scan_lists
from hma_ft.data.options import typed_options


@dataclass
class ListedOptions:
    """`dataset.options` of dataset=listed; files and folders are below the root, or absolute."""

    file: str | None = None  # one list of all splits
    train: str | None = None  # a list a split
    val: str | None = None
    test: str | None = None
    path: str | None = None  # columns of a table
    label: str | None = None
    split: str | None = None
    group: str | None = None  # a column, or a regular expression on paths
    images: str | None = None  # folder that paths are relative to
    classes: str | None = None  # file with the name of a class on each line
    fold: str | None = None  # i/k: fold i of k is the test split


class Listed(DatasetBuilder):
    """The classes are the labels of train."""

    def splits(self) -> dict[str, ImageDataset]:
        """`train`, and `val` and `test` where lists name them."""
        return self.scan().require()

    def scan(self) -> Scan:
        """What the lists name, with everything that is wrong with them."""
        options = typed_options(ListedOptions, self.options)
        lists = {name: getattr(options, name) for name in ("file", "train", "val", "test")}
        return scan_lists(
            find_lists(self.root, lists),
            self.root,
            columns=Columns(options.path, options.label, options.split, options.group),
            images=None if options.images is None else self.root / options.images,
            class_names=None if options.classes is None else read_class_names(self.root / options.classes),
            group=options.group,
            fold=Fold.parse(options.fold),
        )

    def download(self) -> None:
        """There is nothing to fetch: say what is missing."""
        self.splits()
