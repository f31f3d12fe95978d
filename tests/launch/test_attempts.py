"""Small things with a right and a wrong answer: places of GPUs, attempts of a trial, changed code, time left."""

import dataclasses
import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hma_ft.errors import UserError
from hma_ft.launch.code_changes import code_changed, digest_of_changes
from hma_ft.launch.local import cpu_share, gpu_of_slot, job_slots, visible_gpus
from hma_ft.launch.options import SlurmOptions
from hma_ft.launch.slurm import SlurmBackend
from hma_ft.launch.states import TrialState
from hma_ft.launch.sweep import LaunchSpec, Submission, Sweep, Trial, write_record
from hma_ft.launch.sweep_status import seconds_left, sweep_status, trial_row
from hma_ft.launch.trial_status import TrialStatus, read_trial_status, write_trial_status
from hma_ft.launch.trial_status_writer import TrialStatusWriter
from hma_ft.rundir.status import Status


def test_each_slot_gets_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    gpus = visible_gpus()
    assert job_slots(None, gpus) == 2
    given = [gpu_of_slot(slot, gpus)["CUDA_VISIBLE_DEVICES"] for slot in range(4)]
    assert given == ["3", "5", "3", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
    assert job_slots(None, []) == 1
    with pytest.raises(UserError, match=r"jobs=0"):
        job_slots(0, [])


def test_slots_share_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    cpus = len(os.sched_getaffinity(0))
    assert cpu_share(2)["OMP_NUM_THREADS"] == str(max(1, cpus // 2))
    assert cpu_share(1) == {} == gpu_of_slot(0, [])
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert cpu_share(2) == {}


def test_impossible_slurm_options_are_refused() -> None:
    with pytest.raises(UserError, match=r"hydra.launcher.nodes=0"):
        SlurmBackend(SlurmOptions(nodes=0)).demand()
    demand = SlurmBackend(SlurmOptions(memory_gb=1.5, gpus=2, sbatch={"exclude": "n7"})).demand()
    assert (demand["mem"], demand["gpus_per_node"], demand["exclude"]) == ("1536M", "2", "n7")
    assert "partition" not in demand


def test_pieces_of_a_trial_are_counted_and_a_standstill_noticed(tmp_path: Path) -> None:
    spec = LaunchSpec(submission=1)
    for step, idle in [(0, 0), (0, 1), (40, 0), (40, 1), (40, 2)]:
        status_writer = TrialStatusWriter(tmp_path, spec)
        status_writer.begin(step=step, code="")
        assert status_writer.status.idle_attempts == idle
        status_writer.requeued()
    status = read_trial_status(tmp_path)
    assert status is not None and status.attempts == 5
    assert TrialStatusWriter(tmp_path, LaunchSpec(submission=2)).first_attempt
    TrialStatusWriter(tmp_path, spec).finish(0.5)
    assert TrialStatusWriter(tmp_path, spec).first_attempt


def test_what_follows_a_failure_in_another_process_does_not_cover_it(tmp_path: Path) -> None:
    first = TrialStatusWriter(tmp_path, LaunchSpec(submission=1))
    first.begin(step=0, code="")
    write_trial_status(
        tmp_path, TrialStatus(submission=1, state="failed", error="rank 1 said why", pid=first.status.pid + 1)
    )
    first.interrupted("stopped by SIGTERM")
    first.fail("a collective operation was cut off")
    status = read_trial_status(tmp_path)
    assert status is not None and (status.state, status.error) == ("failed", "rank 1 said why")


def test_a_trial_says_that_the_code_has_moved() -> None:
    then = {"commit": "a" * 40, "diff": "+ one line", "untracked": []}
    spec = LaunchSpec(submission=1, commit=then["commit"], changes=digest_of_changes(then))
    assert code_changed(spec, then) == ""
    assert "aaaaaaaaaa" in code_changed(spec, then | {"diff": "+ another line"})
    assert "run at bbbbbbbbbb" in code_changed(spec, then | {"commit": "b" * 40})
    assert code_changed(spec, then | {"untracked": ["new.py"]})


def test_time_left_is_told_from_the_present_piece(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    (tmp_path / "env.json").write_text("{}")
    os.utime(tmp_path / "env.json", ((now - timedelta(seconds=35)).timestamp(),) * 2)
    # ten steps before a night's pause, then one step in two seconds
    times = [(10, now - timedelta(hours=9)), *((10 + k, now - timedelta(seconds=30 - 2 * k)) for k in range(1, 16))]
    rows = [{"step": step, "time": time.isoformat(), "train/loss": 1.0} for step, time in times]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    left = seconds_left(tmp_path, Status(step=25, max_steps=125))
    assert left == pytest.approx(200, abs=3)


def test_a_trial_that_is_being_handed_over_has_not_failed(tmp_path: Path) -> None:
    """The queue was asked before the submission was there, and the trial's record is read after it."""
    trial = Trial("a", "seed=0", str(tmp_path / "run"))
    sweep = Sweep(tmp_path, "demo", [trial], str(tmp_path))
    sweep.save_submission(Submission(1, "local", socket.gethostname(), {}, [trial.key]))
    write_record(sweep.trial_directory(trial.key) / "order.json", dataclasses.asdict(LaunchSpec(submission=1)))
    assert trial_row(sweep, trial, None, latest=0).state is TrialState.queued
    assert [row.state for row in sweep_status(sweep)] == [TrialState.failed]  # nobody took it up
