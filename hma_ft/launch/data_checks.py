"""What a sweep sees to before its trials need their data sets."""

from collections.abc import Sequence
from pathlib import Path

from hma_ft.config.schema import Config
from hma_ft.rundir.status import State, read_status


def prepare_data(configs: Sequence[Config]) -> None:
    """Each data set once, before a trial needs it."""
    from hma_ft.data.prepare import ensure_present

    datasets = {repr(config.dataset): config.dataset for config in configs}
    for dataset in datasets.values():
        ensure_present(dataset)


def require_same_images(runs: Sequence[tuple[Path, Config]]) -> None:
    """UserError where finished trials, each given by directory and configuration, are of other images than now."""
    finished = [run for run in runs if (status := read_status(run[0])) and status.state is State.finished]
    if finished:
        from hma_ft.images_now import require_same_images  # torch comes with it

        require_same_images(finished)
