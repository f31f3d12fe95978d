"""SIGKILL at random moments: the run that is continued is the run that nobody touched, bit for bit.

`make soak` does the same to more methods, two hundred times.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import processes
from tests.faults.kills import PHASES, kill_and_continue, told
from tests.faults.real_runs import IN_BACKGROUND, RealRun, assert_once_in_mlflow, assert_same_outcome

pytestmark = [pytest.mark.faults, pytest.mark.slow]

METHODS = ["full", "hma", "hma_head"]
TRACKED = "full"  # this one feeds MLflow too
BACKGROUND = ("full", "hma")  # these write their checkpoints in a thread
AT_LEAST = 18


def test_killed_runs_end_as_if_nothing_had_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {method: RealRun(tmp_path / "whole" / method, f"method={method}") for method in METHODS}
    cut = {
        method: RealRun(
            tmp_path / "cut" / method,
            f"method={method}",
            tracking="default" if method == TRACKED else "off",
            program=IN_BACKGROUND if method in BACKGROUND else processes.RUN_PY,
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
        print(f"\n{told(killed)}")
    assert killed.total() >= AT_LEAST
    assert min(killed[phase] for phase in PHASES) >= 1
    assert_once_in_mlflow(cut[TRACKED].directory)
