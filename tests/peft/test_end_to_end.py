"""Every method inside the backbone trained on the digits, killed and continued: the same run, bit for bit."""

import os
import signal
import time
from pathlib import Path

import pytest

from hma_ft.config.frozen import load_config, save_config
from tests.config.test_compose import composed
from tests.faults.real_runs import RealRun, assert_same_outcome
from tests.peft.conftest import NAMES
from tests.processes import fork_context

METHODS = [*(name for name in NAMES if name not in ("class_token", "tokens_prop", "tokens_standard")), "hma_lora"]
SETTINGS = [
    *("model=vit_micro", "dataset=digits", "augment=digits", "tracking=off", "dataset.train_per_class=20"),
    *(
        "trainer.device=cpu",
        "trainer.num_workers=0",
        "trainer.checkpoint_minutes=0",
        "trainer.batch_size=16",
        "trainer.max_steps=9",
        "trainer.eval_every=3",
    ),
    *("trainer.ema_decay=0.9", "trainer.log_every=1", "scheduler.warmup_steps=2", "optimizer.layer_decay=0.8"),
    *("trainer.grad_checkpointing=true", "method.peft.drop_path=0.2"),
]


def work(config: Path) -> None:
    """A process of one run; torch comes with the fork."""
    import torch

    from hma_ft.experiment import run

    torch.set_num_threads(1)
    os.chdir(config.parent)
    run(load_config(config))


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("name", METHODS)
def test_a_killed_run_ends_as_if_nothing_had_happened(name: str, tmp_path: Path) -> None:
    context, runs = fork_context(), {}
    for kind in ("whole", "cut"):
        runs[kind] = RealRun(tmp_path / kind)
        save_config(composed(f"method={name}", *SETTINGS), tmp_path / kind / "config.yaml")
    whole = context.Process(target=work, args=(tmp_path / "whole/config.yaml",))
    cut = context.Process(target=work, args=(tmp_path / "cut/config.yaml",))
    whole.start()
    cut.start()
    end = time.monotonic() + 300
    while not list((tmp_path / "cut").glob("runs/digits/*/checkpoints/step-*.pt")):
        assert cut.is_alive() and time.monotonic() < end, "no checkpoint came"
        time.sleep(0.002)
    os.kill(cut.pid or 0, signal.SIGKILL)
    cut.join()
    assert cut.exitcode == -signal.SIGKILL
    again = context.Process(target=work, args=(tmp_path / "cut/config.yaml",))
    again.start()
    for process in (whole, again):
        process.join(300)
        assert process.exitcode == 0
    assert_same_outcome(runs["cut"], runs["whole"])
    losses = [row["train/loss"] for row in runs["cut"].rows if "train/loss" in row]
    assert len(losses) == 9 and len(set(losses)) == 9
