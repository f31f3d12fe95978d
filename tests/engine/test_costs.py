"""What a method costs does not depend on which run filled the store of features."""

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from safetensors import safe_open

from hma_ft.engine.costs import CostClock, Costs, Spent
from hma_ft.engine.feature_steps import feature_steps
from hma_ft.engine.feature_store import FeatureStore
from hma_ft.engine.inputs import MicroBatch
from hma_ft.engine.train_state import TrainState
from tests.faults.real_runs import RealRun, wait_for

PARTS = ("features_s", "train_s", "eval_s")


def test_a_moment_counts_once() -> None:
    clock = CostClock()
    with clock.on(Spent.training):
        time.sleep(0.02)
        with clock.on(Spent.evaluation):
            time.sleep(0.04)
            clock.count(Spent.features, 100.0)
            with clock.on(Spent.nothing):
                time.sleep(0.2)
        time.sleep(0.02)
    assert clock.costs.features == 100.0 and clock.costs.start == 0.0
    assert 0.04 <= clock.costs.training < 0.14 and 0.04 <= clock.costs.evaluation < 0.14
    assert clock.costs.from_nothing == clock.costs.features + clock.costs.training + clock.costs.evaluation


def test_costs_before_they_were_kept_apart_are_unknown() -> None:
    """As a checkpoint of an earlier version has them; the run it belongs to goes on."""
    counters = {"step": 7, "train_seconds": 3.0, "eval_seconds": 1.0, "wall_seconds": 9.0}
    state = TrainState.from_checkpoint(counters)
    assert (state.step, state.costs.training, state.costs.evaluation) == (7, 3.0, 1.0)
    assert math.isnan(state.costs.features) and math.isnan(state.costs.from_nothing) and state.costs.steps == 3.0


def micro_batch(step: int) -> MicroBatch:
    return MicroBatch(torch.full((4, 6), float(step)), torch.zeros(4, dtype=torch.int64), torch.arange(4))


def never(step: int) -> Iterator[list[MicroBatch]]:
    raise AssertionError(f"step {step} is computed though another process has it in hand")


def test_a_wait_for_another_process_costs_what_that_one_spent(tmp_path: Path) -> None:
    """Step 0 is stored, step 1 is being computed elsewhere for half a second, which it says were forty."""
    store, clock = FeatureStore(tmp_path, {}, limit_bytes=10**6), CostClock()
    store.write_step(0, [micro_batch(0)], seconds=2.0)
    begun, seen = threading.Event(), []

    def produce() -> None:
        with FeatureStore(tmp_path, {}, limit_bytes=10**6).producing() as mine:
            assert mine
            begun.set()
            time.sleep(0.5)
            store.write_step(1, [micro_batch(1)], seconds=40.0)

    producer = threading.Thread(target=produce)
    producer.start()
    assert begun.wait(10)
    method: Any = None  # nothing is computed here
    steps = feature_steps(store, never, method, Accelerator(cpu=True), clock, start_step=0, max_steps=2)
    with clock.on(Spent.training):
        for batches in steps:
            seen.append(float(batches[0].inputs[0, 0]))
    producer.join()
    assert seen == [0.0, 1.0] and clock.costs.features == 42.0 and clock.costs.training < 0.25


def recorded(runs: Path) -> tuple[list[float], dict[str, float]]:
    """Seconds in the entries of a runs_dir's store: of training steps in order, of whole splits."""
    seconds = {}
    for path in runs.glob("features/*/*.safetensors"):
        with safe_open(path, framework="pt") as file:
            seconds[path.stem] = float(file.metadata()["seconds"])
    steps = [seconds[name] for name in sorted(seconds) if name.startswith("step-")]
    return steps, {name.removeprefix("split-"): s for name, s in seconds.items() if name.startswith("split-")}


def result(runs: Path, method: str) -> dict[str, float]:
    (path,) = runs.glob(f"digits/{method}-*/result.json")
    return {key.removeprefix("time/"): value for key, value in json.loads(path.read_text()).items() if "time/" in key}


@pytest.mark.slow
@pytest.mark.parametrize("order", [("head", "head_knn"), ("head_knn", "head")])
def test_whichever_run_fills_the_store(order: tuple[str, str], tmp_path: Path) -> None:
    """The second one reads what the first one computed, and costs it."""
    for method in order:
        RealRun(tmp_path, f"method={method}", "trainer.ema_decay=null").finish()
    runs = tmp_path / "runs"
    steps, splits = recorded(runs)
    assert len(steps) == 24 and set(splits) == {"train", "val", "test"}
    head, head_knn = result(runs, "head"), result(runs, "head_knn")
    assert head["features_s"] == pytest.approx(sum(steps), rel=1e-9)
    assert head_knn["features_s"] == pytest.approx(sum(steps) + splits["train"], rel=1e-9)  # its bank
    for times in (head, head_knn):
        assert times["eval_s"] > splits["val"] + splits["test"]
        assert times["from_nothing_s"] == pytest.approx(sum(times[part] for part in PARTS), rel=1e-12)
        assert 0 < times["train_s"] < times["wall_s"] and times["start_s"] <= times["first_step_s"]
        assert times["images_per_s"] == pytest.approx(24 * 16 / (times["features_s"] + times["train_s"]))


@pytest.mark.slow
def test_without_a_store_the_same_is_measured(tmp_path: Path) -> None:
    RealRun(tmp_path, "method=head", "trainer.cache_features=false").finish()
    times = result(tmp_path / "runs", "head")
    assert not (tmp_path / "runs/features").exists()
    # a pass of the ViT and its images against one of a linear layer
    assert times["features_s"] > 0.3 * times["train_s"] > 0


@pytest.mark.slow
def test_a_trained_backbone_has_no_features_apart_and_neighbours_no_steps(tmp_path: Path) -> None:
    for method in ("full", "knn"):
        RealRun(tmp_path, f"method={method}", "trainer.ema_decay=null").finish()
    full, knn = result(tmp_path / "runs", "full"), result(tmp_path / "runs", "knn")
    _, splits = recorded(tmp_path / "runs")
    assert full["features_s"] == 0.0 and full["train_s"] > 0 and full["eval_s"] > 0
    assert knn["features_s"] == pytest.approx(splits["train"]) and knn["train_s"] > 0
    assert knn["eval_s"] > splits["val"] + splits["test"]


@pytest.mark.slow
def test_costs_add_up_over_starts(tmp_path: Path) -> None:
    """A run that is stopped and goes on costs what its steps took, each once, and both starts."""
    run = RealRun(tmp_path, "method=head")
    process = run.start()
    assert wait_for(lambda: run.rows and run.rows[-1]["step"] >= 8, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    stopped = Costs(**torch.load(run.checkpoints[-1], weights_only=True)["state"]["costs"])
    run.finish()
    times, (steps, _) = result(tmp_path / "runs", "head"), recorded(tmp_path / "runs")
    assert times["features_s"] == pytest.approx(sum(steps), rel=1e-9)
    assert 0 < stopped.features < times["features_s"] and times["start_s"] > 1.5 * stopped.start > 0
    assert times["train_s"] > stopped.training > 0 and times["eval_s"] > stopped.evaluation > 0
