"""A finished run and one that was stopped half-way, made once; tests work on copies."""

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.real_runs import RealRun, wait_for

METHOD = "method=full"


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """A run that nobody touched."""
    run = RealRun(tmp_path_factory.mktemp("finished"), METHOD)
    run.finish("trainer.num_workers=0")
    return run


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> RealRun:
    """The same run, stopped by SIGTERM after its first evaluation; it has two checkpoints."""
    run = RealRun(tmp_path_factory.mktemp("stopped"), METHOD)
    process = run.start("trainer.num_workers=0")
    assert wait_for(lambda: run.rows and run.rows[-1]["step"] >= 8, process)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    return run


@pytest.fixture
def copy_of_stopped(stopped: RealRun, tmp_path: Path) -> Callable[[Path], RealRun]:
    """`copy_of_stopped(folder)`: the stopped run once more."""

    def copy(folder: Path) -> RealRun:
        run = RealRun(folder, METHOD)
        shutil.copytree(stopped.folder / "runs", folder / "runs")
        return run

    return copy


@pytest.fixture
def half_way(copy_of_stopped: Callable[[Path], RealRun], tmp_path: Path) -> Iterator[RealRun]:
    """The stopped run, to be taken up."""
    return copy_of_stopped(tmp_path / "half_way")
