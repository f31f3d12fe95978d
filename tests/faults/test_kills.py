"""SIGKILL at random moments: the run that is continued is the run that nobody touched, bit for bit."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.real_runs import EVAL_EVERY, MAX_STEPS, RealRun, assert_once_in_mlflow, assert_same_outcome, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.slow]

METHODS = ["full", "hma", "hma_head", "tokens_standard", "head"]
PHASES = ["step", "evaluation", "checkpoint", "step", "checkpoint", "test", "test"]
TRACKED = "full"  # this one feeds MLflow too
AT_LEAST = 30


def moment(run: RealRun, phase: str) -> Callable[[], bool]:
    """Whether the run that was just started is in that phase of its work."""
    began_with = len(run.rows)

    def reached() -> bool:
        if phase == "checkpoint":
            return any(run.folder.glob("runs/digits/*/checkpoints/.*.tmp"))
        rows = run.rows
        if not rows:
            return False
        last = rows[-1]
        trained = "train/loss" in last
        if phase == "evaluation":
            return trained and last["step"] % EVAL_EVERY == 0
        if phase == "test":
            return run.status["step"] == MAX_STEPS and last["step"] == MAX_STEPS and not trained
        return len(rows) > began_with or last["step"] == MAX_STEPS

    return reached


def kill_and_continue(run: RealRun, seed: int) -> Counter[str]:
    """Kill it once in every phase, in random order, each time with another number of workers; then let it finish."""
    chance, killed = random.Random(seed), Counter[str]()
    early = PHASES[:-2]
    chance.shuffle(early)
    for phase in [*early, *PHASES[-2:]]:
        for leftover in run.folder.glob("runs/digits/*/checkpoints/.*.tmp"):
            leftover.unlink()  # else it would be taken for the next one's
        reached = moment(run, phase)
        process = run.start(f"trainer.num_workers={chance.choice([0, 0, 1, 2])}")
        if wait_for(reached, process):
            time.sleep(chance.uniform(0, 0.003 if phase == "checkpoint" else 0.3))
            process.send_signal(signal.SIGKILL)
        process.communicate()
        killed[phase] += process.returncode == -signal.SIGKILL
    run.finish("trainer.num_workers=1")
    return killed


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {method: RealRun(tmp_path / "whole" / method, f"method={method}") for method in METHODS}
    cut = {
        method: RealRun(
            tmp_path / "cut" / method, f"method={method}", tracking="default" if method == TRACKED else "off"
        )
        for method in METHODS
    }
    with ThreadPoolExecutor(2) as pool:
        counts = [pool.submit(kill_and_continue, cut[method], seed) for seed, method in enumerate(METHODS)]
        # without the store of features, which changes nothing
        outputs = [
            pool.submit(whole[m].finish, "trainer.cache_features=false", "trainer.num_workers=0") for m in METHODS
        ]
        killed = sum((count.result() for count in counts), Counter[str]())
        for output in outputs:
            output.result()
    for method in METHODS:
        assert_same_outcome(cut[method], whole[method])
    with capsys.disabled():
        print(f"\n{killed.total()} kills: {', '.join(f'{n} in {phase}' for phase, n in killed.items())}")
    assert killed.total() >= AT_LEAST
    assert min(killed[phase] for phase in PHASES) >= 1
    assert_once_in_mlflow(cut[TRACKED].directory)
