"""VTAB-1k (Zhai et al., 2019) as NOAH (Zhang et al., 2022) lays it out: root/TASK with lists and images."""

from dataclasses import dataclass

from hma_ft.data.datasets.base import DatasetBuilder, ImageDataset, Scan
from hma_ft.data.lists.rows import Columns
from hma_ft.data.lists.scan import scan_lists
from hma_ft.data.options import typed_options
from hma_ft.errors import UserError

# Number of classes, natural tasks first, then specialised, then structured ones. Train lacks some of the largest.
TASKS = {
    "cifar": 100,
    "caltech101": 102,
    "dtd": 47,
    "oxford_flowers102": 102,
    "oxford_iiit_pet": 37,
    "svhn": 10,
    "sun397": 397,
    "patch_camelyon": 2,
    "eurosat": 10,
    "resisc45": 45,
    "diabetic_retinopathy": 5,
    "clevr_count": 8,
    "clevr_dist": 6,
    "dmlab": 6,
    "kitti": 4,
    "dsprites_loc": 16,
    "dsprites_ori": 16,
    "smallnorb_azi": 18,
    "smallnorb_ele": 9,
}
LISTS = {"train": "train800.txt", "val": "val200.txt", "test": "test.txt"}


@dataclass
class VTABOptions:
    """`dataset.options` of dataset=vtab."""

    task: str = "dtd"


class VTAB(DatasetBuilder):
    """One of 19 tasks: 800 images for train, 200 for val, the whole test split."""

    def splits(self) -> dict[str, ImageDataset]:
        """As listed; train800val200.txt names the images of the other two again."""
        return self.scan().require()

    def scan(self) -> Scan:
        """What the lists of the task name, with everything that is wrong with them."""
        task = typed_options(VTABOptions, self.options).task
        if task not in TASKS:
            raise UserError(f"unknown dataset.options.task={task}: use one of {', '.join(TASKS)}")
        lists = {split: self.root / task / file for split, file in LISTS.items()}
        missing = [path.name for path in lists.values() if not path.is_file()]
        if missing:
            raise UserError(
                f"{self.root / task} has no {', '.join(missing)}: dataset.root={self.root} must hold VTAB-1k as NOAH "
                "lays it out, {TASK}/{train800.txt,val200.txt,test.txt,images/}"
            )
        names = [str(number) for number in range(TASKS[task])]
        return scan_lists(lists, self.root, columns=Columns(), class_names=names)

    def download(self) -> None:
        """Nothing is fetched: say what is missing."""
        self.splits()
