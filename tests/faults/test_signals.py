"""Signals that ask a run to stop: the step is finished, the checkpoint written, nothing is done twice."""

import os
import signal

import pytest

from tests.faults.real_runs import EVAL_EVERY, RealRun, assert_same_outcome, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def stop(run: RealRun, signum: signal.Signals, *, in_evaluation: bool, to_group: bool = False) -> None:
    """Send it a few steps further on, to the run or to its loader processes too, and look at what is left."""
    begin = run.status["step"]

    def reached() -> bool:
        last = run.rows[-1]
        at_evaluation = "train/loss" in last and last["step"] % EVAL_EVERY == 0
        return last["step"] > begin and (at_evaluation or not in_evaluation)

    settings = ("trainer.num_workers=1", "trainer.cache_features=false")
    process = run.start(*settings, before_exec=os.setsid) if to_group else run.start(*settings)
    assert wait_for(reached, process), process.communicate()[0]
    if to_group:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signum, output
    assert f"stopped by signal {signum.value}; the same command continues" in output
    assert "Traceback" not in output, output
    status = run.status
    assert status["state"] == "interrupted"
    assert str(signum.value) in status["message"]
    done = max(row["step"] for row in run.rows)
    assert status["step"] == done, "a step is lost"
    assert int(run.checkpoints[-1].name.split("-")[1]) == done


def test_nothing_but_the_current_step_is_lost(half_way: RealRun, finished: RealRun) -> None:
    assert half_way.status["state"] == "interrupted"
    stop(half_way, signal.SIGUSR2, in_evaluation=True)
    stop(half_way, signal.SIGTERM, in_evaluation=False, to_group=True)
    stop(half_way, signal.SIGUSR1, in_evaluation=False)
    stop(half_way, signal.SIGINT, in_evaluation=False)
    half_way.finish()
    assert half_way.status["state"] == "finished"
    assert half_way.status["starts"] == 6
    assert_same_outcome(half_way, finished)
