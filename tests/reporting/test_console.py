"""What a run prints."""

import io
import re
from pathlib import Path

import pytest

from hma_ft.config.schema import TrackingConfig
from hma_ft.reporting.console import Progress, clock, result_table

RESULT = {
    "val/top1": 0.91,
    "test/top1": 0.9,
    "test/nll": None,
    "test_batch/top1": 0.905,
    "best/step": 120,
    "inference": "alone",
    "params/trainable": 1234,
    "params/total": 87654321,
    "time/wall_s": 61.2,
}


def test_log_gets_a_line_now_and_then_and_always_the_last_step() -> None:
    log = io.StringIO()
    with Progress(1000, stream=log, line_seconds=1000.0) as progress:
        for step in range(1, 1001):
            progress.update(step, loss=1.5, top1=0.25, lr=0.01, images_per_s=99.6)
        progress.note("step 1000: val top-1 0.5 [best]")
    lines = log.getvalue().splitlines()
    assert len(lines) == 3 and all("\x1b" not in line for line in lines)
    assert " ".join(lines[0].split()) == "step 1/1000 loss 1.5000 top-1 0.250 lr 1.00e-02 100 images/s"
    assert lines[1].startswith("step 1000/1000") and lines[1].endswith("0:00 left")
    assert lines[2] == "step 1000: val top-1 0.5 [best]"


def test_terminal_gets_a_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(100, stream=terminal) as progress:
        progress.update(50, loss=1.5, top1=0.25, lr=0.01, images_per_s=99.6)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    assert "50/100" in shown and "loss 1.5000" in shown and "left" in shown


def test_result_table_has_every_split_and_paths_in_one_piece() -> None:
    out = io.StringIO()
    directory = Path("/very/long" + "/folder" * 30) / "dtd" / "hma-vit_b32-seed0-01234567"
    result_table(RESULT, directory, TrackingConfig(), stream=out)
    text = out.getvalue()
    assert [line.split()[1] for line in text.splitlines() if "%" in line] == ["val", "test", "test,"]
    for part in (
        "91.00 %",
        "90.50 %",
        "1,234 trainable of 87,654,321",
        "61.2 s",
        f"run directory: {directory}\n",
        "ui --backend",
    ):
        assert part in text
    out.truncate(0)
    result_table(RESULT, directory, TrackingConfig(mlflow=False), stream=out)
    assert "MLflow" not in out.getvalue()


def test_costs_are_listed_where_they_are_known() -> None:
    out = io.StringIO()
    costs = {"features_s": 40.0, "train_s": 2.5, "eval_s": 1.25, "from_nothing_s": 43.75}
    result_table(
        RESULT | {f"time/{key}": value for key, value in costs.items()}, Path("run"), TrackingConfig(), stream=out
    )
    assert "from nothing 43.8 s (features 40.0 s, training 2.5 s, evaluation 1.2 s)" in " ".join(out.getvalue().split())
    out = io.StringIO()
    result_table(RESULT, Path("run"), TrackingConfig(), stream=out)  # of a record from before they were kept apart
    assert "time: 61.2 s in all\n" in out.getvalue()


def test_clock() -> None:
    assert [clock(s) for s in (0.4, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
