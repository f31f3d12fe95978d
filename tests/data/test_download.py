"""One process fetches, the others wait."""

import multiprocessing
import time
from pathlib import Path

from hma_ft.config.schema import DatasetConfig
from hma_ft.data.datasets.base import DatasetBuilder, ImageDataset
from hma_ft.data.datasets.digits import Digits
from hma_ft.data.prepare import ensure_present
from hma_ft.errors import UserError


class Slow(DatasetBuilder):
    """Digits behind a fetch of half a second that notes who did it."""

    def splits(self) -> dict[str, ImageDataset]:
        if not (self.root / "done").exists():
            raise UserError(f"{self.root} is empty")
        return Digits(self.root, {}).splits()

    def download(self) -> None:
        with (self.root / "log").open("a") as log:
            log.write("fetched\n")
        time.sleep(0.5)
        (self.root / "done").touch()


def fetch(root: Path) -> None:
    ensure_present(DatasetConfig(name="slow", target="tests.data.test_download.Slow", root=str(root)))


def test_four_processes_fetch_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    processes = [context.Process(target=fetch, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert (tmp_path / "log").read_text() == "fetched\n"
