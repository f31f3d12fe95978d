"""Damaged checkpoints, full disks, two processes on one run, losses that are not finite."""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hma_ft.data.batch_sampler import step_batch
from hma_ft.rundir.metric_log import read_rows
from tests.faults.real_runs import RealRun, assert_once_in_mlflow, assert_same_outcome, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.slow]

IMAGES = 1078  # of the training split of the digits, and the seed is 0


def refused(run: RealRun, *more: str, before_exec: Callable[[], None] | None = None) -> str:
    """What a start says that ends with exit code 2."""
    process = run.start(*more, before_exec=before_exec)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 2, output
    assert "Traceback" not in output
    return output


def files(run: RealRun) -> dict[str, bytes]:
    """Checkpoints with their contents."""
    return {path.name: path.read_bytes() for path in (run.directory / "checkpoints").iterdir()}


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 16
    path.write_bytes(content)


def test_a_damaged_newest_checkpoint_is_passed_over_and_two_are_an_error(
    half_way: RealRun, finished: RealRun, copy_of_stopped: Callable[[Path], RealRun], tmp_path: Path
) -> None:
    older, newest = half_way.checkpoints
    os.truncate(newest, newest.stat().st_size // 2)
    output = half_way.finish("trainer.num_workers=0")
    assert f"{newest.name} is damaged" in output
    assert_same_outcome(half_way, finished)

    lost = copy_of_stopped(tmp_path / "lost")
    for path in lost.checkpoints:
        flip_a_bit(path)
    before = files(lost)
    output = refused(lost)
    assert "error: all checkpoints in" in output
    assert older.name in output and newest.name in output and "fresh=true" in output
    assert files(lost) == before
    assert lost.status["state"] == "failed"


def test_a_file_that_may_not_grow_stops_the_run_with_its_last_checkpoint(half_way: RealRun, finished: RealRun) -> None:
    limit = half_way.checkpoints[-1].stat().st_size // 2
    before = files(half_way)
    output = refused(half_way, before_exec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert "error: the checkpoint of step 12 can't be written" in output
    assert "the same command again to continue" in output
    assert {name: files(half_way)[name] for name in before} == before
    assert half_way.status["state"] == "failed"
    half_way.finish("trainer.num_workers=0")
    assert_same_outcome(half_way, finished)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 22 MB: the two checkpoints fit, a third does not."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=22m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounts a file system: needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_with_its_last_checkpoint(
    copy_of_stopped: Callable[[Path], RealRun], small_disk: Path, finished: RealRun
) -> None:
    run = copy_of_stopped(small_disk)
    before = files(run)
    output = refused(run)
    assert "error: the checkpoint of step 12 can't be written" in output
    assert "No space left on device" in output
    assert {name: files(run)[name] for name in before} == before

    with open(small_disk / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(b"0" * 4096):
                pass
        except OSError:
            pass
    output = refused(run)  # not even the record can be written
    assert "No space left on device" in output and "make room" in output
    assert {name: files(run)[name] for name in before} == before

    (small_disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    run.finish("trainer.num_workers=0")
    assert_same_outcome(run, finished)


def test_one_process_a_run_and_a_dead_one_is_followed(half_way: RealRun, finished: RealRun) -> None:
    begin = len(half_way.rows)
    first = half_way.start("trainer.num_workers=2")
    assert wait_for(lambda: len(half_way.rows) > begin, first)
    first.send_signal(signal.SIGSTOP)  # else it may be finished before the second one has begun
    output = refused(half_way)
    assert f"is being run by process {first.pid} on {os.uname().nodename}" in output
    assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert half_way.status["state"] == "running"  # so it was; nobody could write anything else
    half_way.finish("trainer.num_workers=2")
    assert_same_outcome(half_way, finished)
    # killed, as it were, between its own end and MLflow's
    assert "This run is finished" in half_way.finish("tracking.mlflow=true")
    assert_once_in_mlflow(half_way.directory)


def test_a_loss_that_is_not_finite_names_its_step_and_images(tmp_path: Path) -> None:
    run = RealRun(tmp_path, "method=head", "optimizer.lr=1e38", "trainer.cache_features=false")
    output = refused(run, "trainer.num_workers=0")
    steps = [row["step"] for row in read_rows(run.directory / "metrics.jsonl")]
    step = max(steps) + 1
    assert f"error: the loss of step {step} is " in output
    ids = [sample for _, sample in step_batch(IMAGES, 16, 0, step - 1)]
    assert f"ids of the batch's training samples: {', '.join(map(str, ids[:8]))}, ... (16)" in output
    assert "optimizer.lr" in output
    assert run.status["state"] == "failed"
    assert f"the loss of step {step}" in run.status["message"]
