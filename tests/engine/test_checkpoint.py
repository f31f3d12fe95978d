"""Checkpoints under damage, a full disk and a crash."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from hma_ft.engine import checkpoint
from hma_ft.errors import UserError


def state(step: int) -> dict[str, object]:
    return {"step": step, "weights": {"w": torch.full((100,), float(step))}, "nothing": None}


def test_the_newest_one_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    for step in (10, 20, 100):
        checkpoint.save(tmp_path, state(step), kind="step", step=step)
    checkpoint.prune(tmp_path, kind="step")
    assert len(list(tmp_path.iterdir())) == 2
    loaded = checkpoint.load_newest(tmp_path, kind="step")
    assert loaded is not None and loaded["step"] == 100
    assert torch.equal(loaded["weights"]["w"], torch.full((100,), 100.0))
    assert checkpoint.load_newest(tmp_path / "absent", kind="step") is None


@pytest.mark.parametrize("damage", ["truncated", "bit flipped", "emptied"])
def test_a_damaged_newest_one_is_passed_over(tmp_path: Path, damage: str) -> None:
    older = checkpoint.save(tmp_path, state(10), kind="step", step=10)
    newest = checkpoint.save(tmp_path, state(20), kind="step", step=20)
    spoil(newest, damage)
    with pytest.warns(UserWarning, match="damaged"):
        loaded = checkpoint.load_newest(tmp_path, kind="step")
    assert loaded is not None and loaded["step"] == 10
    spoil(older, damage)
    with pytest.raises(UserError, match="all checkpoints"), pytest.warns(UserWarning, match="damaged"):
        checkpoint.load_newest(tmp_path, kind="step")
    assert older.exists() and newest.exists()


def spoil(path: Path, damage: str) -> None:
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "emptied":
        content = bytearray()
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_disk_that_refuses_leaves_the_one_before_intact(tmp_path: Path) -> None:
    """A limit on the size of files makes the operating system refuse, as a full disk does."""
    program = f"""
        import resource, signal, torch
        from pathlib import Path
        from hma_ft.engine import checkpoint
        from hma_ft.errors import UserError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        folder = Path({str(tmp_path)!r})
        checkpoint.save(folder, {{"w": torch.zeros(10)}}, kind="step", step=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            checkpoint.save(folder, {{"w": torch.zeros(1_000_000)}}, kind="step", step=2)
        except UserError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=100)
    assert "step 2" in done.stdout and "intact" in done.stdout, done.stderr
    assert len(list(tmp_path.iterdir())) == 1
    loaded = checkpoint.load_newest(tmp_path, kind="step")
    assert loaded is not None and len(loaded["w"]) == 10


def test_best_weights_of_steps_that_are_done_again_go(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        checkpoint.save(tmp_path, {"step": step}, kind="best", step=step)
    checkpoint.remove_later(tmp_path, kind="best", step=20)
    assert sorted(int(path.name.split("-")[1]) for path in tmp_path.iterdir()) == [10, 20]


def test_of_one_step_the_later_file_is_the_newer(tmp_path: Path) -> None:
    """A run that was stopped in an evaluation has one from before it, and one from after."""
    for evaluated in (False, True):
        path = checkpoint.save(tmp_path, state(10) | {"evaluated": evaluated}, kind="step", step=10)
        os.utime(path, (1, 100 + evaluated))
    loaded = checkpoint.load_newest(tmp_path, kind="step")
    assert loaded is not None and loaded["evaluated"]


def test_what_kept_checkpoints_name_stays(tmp_path: Path) -> None:
    names = [checkpoint.save(tmp_path, state(step), kind="best", step=step).name for step in (1, 2, 3)]
    checkpoint.prune_others(tmp_path, kind="best", names={names[0], names[2]})
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[0], names[2]]
