"""A run directory in MLflow's terms."""

import math
import sys
from pathlib import Path

from hma_ft.mlflow_sync.content import (
    PARAM_LIMIT,
    description,
    params,
    points,
    read_content,
    result_points,
    run_name,
    same_value,
    tags,
)
from hma_ft.rundir.record import RunRecord

TIME = "2026-01-01T00:00:00.000+00:00"


def test_params_are_flat_and_numbers_are_written_out() -> None:
    config = {
        "optimizer": {"lr": 1e-05, "layer_decay": None, "momentum": 0.9},
        "method": {"options": {}, "hma": {"heads": 4, "null_key": True}},
        "augment": {"crop_scale": [1e-3, 1.0]},
        "dataset": {"options": {"odd key!": "x"}},
        "task": "train",
        "tracking": {"uri": "http://me:secret@host"},
    }
    assert params(config) == {
        "optimizer.lr": "0.00001",
        "optimizer.layer_decay": "null",
        "optimizer.momentum": "0.9",
        "method.options": "{}",
        "method.hma.heads": "4",
        "method.hma.null_key": "true",
        "augment.crop_scale": "[0.001, 1.0]",
        "dataset.options.odd key_": "x",
    }


def test_long_value_is_cut_and_says_so() -> None:
    value = params({"dataset": {"options": {"classes": "x" * 10_000}}})["dataset.options.classes"]
    assert len(value) == PARAM_LIMIT
    assert value.endswith("... (10000 characters; all of them in config.yaml)")


def test_points_are_one_a_key_and_step() -> None:
    rows = [
        {"step": 1, "time": TIME, "train/loss": 2.0},
        {"step": 1, "time": TIME, "val/top1": 0.5},
        {"step": 1, "time": TIME, "train/loss": math.inf},
    ]
    found = points(rows)
    assert [(p.key, p.step, p.value) for p in found.values()] == [
        ("train/loss", 1, sys.float_info.max),
        ("val/top1", 1, 0.5),
    ]
    assert found["val/top1", 1].timestamp == 1767225600000


def test_results_do_not_mix_with_the_curves(record: RunRecord, directory: Path) -> None:
    record.write_result(
        {"val/top1": 0.7, "test/top1": 0.6, "inference": "alone", "test/nll": math.nan, "best/step": 30}
    )
    record.update_status(state="finished", step=100)
    content = read_content(directory)
    assert {(p.key, p.step, p.value) for p in result_points(content).values()} == {
        ("best/val/top1", 100, 0.7),
        ("test/top1", 100, 0.6),
        ("best/step", 100, 30.0),
    }
    assert tags(directory, content)["result.inference"] == "alone"


def test_name_and_description_say_what_the_run_is(record: RunRecord, directory: Path) -> None:
    content = read_content(directory)
    assert run_name(directory, content) == directory.name
    assert run_name(Path("/elsewhere"), content) == "hma-vit_b32-seed0-01234567"
    text = description(directory, content)
    assert content.env["command"] in text and str(directory) in text and "**hma** on **dtd**" in text


def test_same_value() -> None:
    assert same_value(math.nan, math.nan) and same_value(0.1, 0.1 * (1 + 1e-9)) and same_value(0.0, 0.0)
    assert not same_value(0.1, 0.1001) and not same_value(math.nan, 0.0)
