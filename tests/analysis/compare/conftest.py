"""Run directories with known figures, written by the real RunRecord."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hma_ft.config.fingerprint import fingerprint
from hma_ft.config.schema import Config
from hma_ft.rundir.record import RunRecord

CLASSES = ["ant", "bee", "cat", "dog"]
IMAGES = 40
METHODS = {
    "head": ("hma_ft.methods.linear.Linear", 970),
    "full": ("hma_ft.methods.linear.Linear", 454_954),
    "knn": ("hma_ft.methods.knn.KNN", 0),
    "hma": ("hma_ft.methods.hma.HMA", 1_039_338),
}
WriteRun = Callable[..., Path]


def set_key(config: Config, key: str, value: Any) -> None:
    """`set_key(config, "optimizer.lr", 0.1)`."""
    node: Any = config
    *groups, name = key.split(".")
    for group in groups:
        node = getattr(node, group)
    setattr(node, name, value)


def answers(right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, labels and probabilities [N, 4] of predictions that are right where `right` [N] says so."""
    ids = np.arange(len(right))
    labels = ids % len(CLASSES)
    predicted = np.where(right, labels, (labels + 1) % len(CLASSES))
    probabilities = np.full((len(ids), len(CLASSES)), 0.1, dtype=np.float32)
    probabilities[ids, predicted] = 0.7
    return ids, labels, probabilities


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """`write_run("hma", seed=0, right=mask, val=0.8)` -> the directory of a finished run below tmp_path/runs.

    `right` [N] bool: which test images are recognised, or their number, the first ones. `modes`: the same by inference
    mode. `settings`: dotted keys of the configuration; `data` and `env` replace entries of data.json and env.json.
    `keys` int64 [N] name the test images, `groups` int64 [N] their groups.
    """

    def write(
        method: str,
        *,
        seed: int,
        right: np.ndarray | int,
        val: float = 0.5,
        dataset: str = "digits",
        settings: dict[str, Any] | None = None,
        modes: dict[str, int] | None = None,
        data: dict[str, Any] | None = None,
        env: dict[str, Any] | None = None,
        keys: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        state: str = "finished",
        folder: str = "runs",
    ) -> Path:
        config = Config(seed=seed)
        config.dataset.name, config.method.name = dataset, method
        config.method.target, trainable = METHODS[method]
        config.method.reads = config.method.reads if trainable else []
        for key, value in (settings or {}).items():
            set_key(config, key, value)
        digest = fingerprint(config)
        directory = tmp_path / folder / dataset / f"{method}-seed{seed}-{digest[:8]}"
        record = RunRecord.open(directory, config=asdict(config), fingerprint=digest, max_steps=1000)
        _change_json(record.path("env.json"), {"git": {"commit": "c" * 40, "dirty": False, "diff": ""}} | (env or {}))
        record.write_data({"train": 100, "val": 20, "test": IMAGES, "classes": 4} | _digests(dataset) | (data or {}))
        for step in (500, 1000) if trainable else (0,):
            record.log_metrics(step, {"train/loss": 2.0 - step / 1000 - seed / 100})
            record.log_metrics(step, {"val/top1": val * (step + 1000) / 2000, "val/nll": 1.0})
        result: dict[str, Any] = {"inference": "alone", "best/step": 1000, "val/top1": val, "memory/peak_bytes": 2**30}
        result |= {"params/trainable": trainable, "params/total": 454_954, "time/train_s": 10.0 + seed}
        result |= {"time/features_s": 100.0, "time/eval_s": 5.0, "time/from_nothing_s": 115.0 + seed}
        result |= {"time/start_s": 3.0, "time/wall_s": 20.0 + seed, "time/images_per_s": 100.0}
        for mode, mask in {"": right, **(modes or {})}.items():
            suffix = f"_{mode}" if mode else ""
            mask = np.arange(IMAGES) < mask if isinstance(mask, int) else mask
            order = np.random.default_rng([seed, len(method)]).permutation(len(mask))  # as loaders may have it
            ids, labels, probabilities = (array[order] for array in answers(mask))
            named, grouped = (None if array is None else array[order] for array in (keys, groups))
            name = f"predictions{suffix}.npz"
            record.write_predictions(ids, labels, probabilities, CLASSES, name=name, keys=named, groups=grouped)
            result |= {f"test{suffix}/top1": float(mask.mean()), f"test{suffix}/ece": 0.1 + seed / 100}
            result |= {f"val{suffix}/top1": val, f"test{suffix}/nll": 1.0}
        record.write_result(result)
        record.update_status(state=state, step=1000)
        record.close()
        return directory

    return write


def _digests(dataset: str) -> dict[str, str]:
    return {f"{split}_digest": f"{split}-{dataset}" for split in ("train", "val", "test")}


def _change_json(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
