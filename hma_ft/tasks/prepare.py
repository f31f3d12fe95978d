"""`task=prepare dataset=NAME`: fetch a data set once, open every picture, say what is there.

All contents are read again, so that runs find their digests beside the runs, and none is trusted that is out of date.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from hma_ft.config.schema import Config
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.equal_images import in_one_line
from hma_ft.data.prepare import ensure_present
from hma_ft.data.sources.base import Samples
from hma_ft.data.splits import load_splits
from hma_ft.errors import UserError

Checked = tuple[int, int] | str  # height and width, or what is wrong


def prepare(config: Config) -> int:
    """Fetch what is missing, decode all pictures, report; returns 1 if some can't be read."""
    ensure_present(config.dataset)
    splits = load_splits(config.dataset, index=ContentIndex.beside_runs(config.runs_dir, verify=True))
    console, unreadable = Console(), []
    table = Table("split", "pictures", "classes", "a class (least, most)", "height (least, median, most)", "width")
    for name, samples in splits.by_name.items():
        checked = _open_all(samples, name)
        unreadable += [result for result in checked if isinstance(result, str)]
        sizes = torch.tensor([result for result in checked if not isinstance(result, str)] or [(0, 0)])
        counts = samples.labels.bincount(minlength=len(splits.class_names))
        table.add_row(
            name,
            str(len(samples)),
            str(int((counts > 0).sum())),
            f"{int(counts.min())}, {int(counts.max())}",
            *(f"{int(side.min())}, {int(side.median())}, {int(side.max())}" for side in sizes.unbind(1)),
        )
    console.print(table)
    names = ", ".join(splits.class_names[:8]) + (", ..." if len(splits.class_names) > 8 else "")
    console.print(f"{len(splits.class_names)} classes: {names}", markup=False)
    for problem in unreadable:
        console.print(f"unreadable: {problem}", markup=False, soft_wrap=True)
    shared = in_one_line(splits.equal_images, {name: len(samples) for name, samples in splits.by_name.items()})
    if shared is not None:
        console.print(f"warning: {shared}", markup=False, soft_wrap=True)
    console.print(f"{config.dataset.name} below {config.dataset.root}: " + _verdict(len(unreadable)), markup=False)
    return 1 if unreadable else 0


def _verdict(unreadable: int) -> str:
    return f"{unreadable} pictures can't be read" if unreadable else "complete, every picture can be read"


def _open_all(samples: Samples, name: str) -> list[Checked]:
    """Decode every picture, in several processes."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), initializer=_one_thread) as pool:
        results = pool.map(partial(_open_one, samples), range(len(samples)), chunksize=64)
        return list(track(results, f"opening {name}", total=len(samples), transient=True))


def _one_thread() -> None:
    torch.set_num_threads(1)


def _open_one(samples: Samples, index: int) -> Checked:
    try:
        picture = samples.load(index)
    except UserError as error:
        return str(error)
    return picture.shape[1], picture.shape[2]
