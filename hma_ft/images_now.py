"""Whether the images of finished runs are still what their data set holds."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hma_ft.config.reads import as_read
from hma_ft.config.schema import Config, ImageCaching
from hma_ft.data.content_index import ContentIndex
from hma_ft.data.description import changed_splits
from hma_ft.data.splits import load_splits
from hma_ft.errors import UserError
from hma_ft.names import enumerated
from hma_ft.rundir.record import read_data


def changed_since(directory: Path, config: Config) -> list[str]:
    """The splits of a finished run whose images or labels are others by now; empty where that cannot be told."""
    return changed_splits(read_data(directory), _describe_now(config))


def require_same_images(runs: Iterable[tuple[Path, Config]]) -> None:
    """Refuse to count finished runs of other images, as runs of two folders of one `dataset.name` are the same run.

    `runs`: directory and configuration of each finished trial. Raises UserError. Each data set is read once.
    """
    known: dict[str, dict[str, int | str]] = {}
    changed: dict[str, None] = {}
    count = 0
    for directory, config in runs:
        if config.fresh:
            continue
        place = repr((config.dataset, config.trainer.select))
        if place not in known:
            known[place] = _describe_now(config)
        splits = changed_splits(read_data(directory), known[place])
        if splits:
            count, root = count + 1, config.dataset.root
            changed |= dict.fromkeys(splits)
    if count:
        raise UserError(
            f"{count} finished trials of this sweep are of other {enumerated(list(changed))} images than "
            f"dataset.root={root} holds now: dataset.name=NAME keeps both apart, fresh=true starts them over"
        )


def _describe_now(config: Config) -> dict[str, int | str]:
    """What data.json would say now; nothing where the images are not at hand. Of files, only new ones are read."""
    config = as_read(config)
    index = ContentIndex.beside_runs(config.runs_dir, verify=config.dataset.verify_content)
    if not config.dataset.on_disk or not index.knows_files:
        return {}
    try:
        dataset = replace(config.dataset, cache=ImageCaching.none)
        return load_splits(dataset, index=index, select=config.trainer.select).description
    except (UserError, OSError):  # a record is reported wherever it is, with or without its data set
        return {}
