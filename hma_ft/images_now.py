"""Whether the images of finished runs are still what their data set holds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hma_ft.config.reads import as_read
from hma_ft.config.schema import Config, ImageCaching
from hma_ft.errors import UserError
from hma_ft.names import enumerated
from hma_ft.rundir.record import read_data
from hma_ft.rundir.status import State, read_status


def changed_since(directory: Path, config: Config) -> list[str]:
    """The splits of a finished run whose images or labels are others by now; empty where that cannot be told."""
    from hma_ft.data.description import changed_splits  # torch comes with it

    return changed_splits(read_data(directory), _describe_now(config))


def require_same_images(runs: Sequence[tuple[Path, Config]]) -> None:
    """Refuse finished runs of other images than their data set holds now: a fingerprint does not know the folder.

    `runs`: directory and configuration of trials, of which only the finished ones count. Raises UserError. Each data
    set is read once.
    """
    finished = [(directory, config) for directory, config in runs if not config.fresh and _is_finished(directory)]
    if not finished:
        return
    from hma_ft.data.description import changed_splits  # torch comes with it

    known: dict[str, dict[str, int | str]] = {}
    changed: dict[str, None] = {}
    roots = []
    for directory, config in finished:
        place = repr((config.dataset, config.trainer.select))
        if place not in known:
            known[place] = _describe_now(config)
        splits = changed_splits(read_data(directory), known[place])
        if splits:
            roots.append(config.dataset.root)
            changed |= dict.fromkeys(splits)
    if roots:
        raise UserError(
            f"{len(roots)} finished trials of this sweep are of other {enumerated(list(changed))} images than "
            f"dataset.root={roots[0]} holds now: dataset.name=NAME keeps both apart, fresh=true starts them over"
        )


def _is_finished(directory: Path) -> bool:
    status = read_status(directory)
    return status is not None and status.state is State.finished


def _describe_now(config: Config) -> dict[str, int | str]:
    """What data.json would say now; nothing where the images are not at hand. Of files, only new ones are read."""
    from hma_ft.data.content_index import ContentIndex  # torch comes with it
    from hma_ft.data.splits import load_splits

    config = as_read(config)
    index = ContentIndex.beside_runs(config.runs_dir, verify=config.dataset.verify_content)
    if not config.dataset.on_disk or not index.knows_files:
        return {}
    try:
        dataset = replace(config.dataset, cache=ImageCaching.none)
        return load_splits(dataset, index=index, select=config.trainer.select).description
    except (UserError, OSError):  # a record is reported wherever it is, with or without its data set
        return {}
