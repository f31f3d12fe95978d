"""SIGKILL at random moments of a run's work, each in a phase of it that is asked for."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from tests.faults.real_runs import EVAL_EVERY, MAX_STEPS, RealRun, wait_for

PHASES = ("step", "evaluation", "checkpoint", "step", "checkpoint", "test", "test")


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
    """Kill it once in every phase, each time with another number of workers; then let it finish.

    All but the last two phases, which lie at the end of a run, come in random order.
    """
    chance, killed = random.Random(seed), Counter[str]()
    early = list(PHASES[:-2])
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


def told(killed: Counter[str]) -> str:
    """Counts by phase, in words."""
    return f"{killed.total()} kills: {', '.join(f'{number} in {phase}' for phase, number in killed.items())}"
