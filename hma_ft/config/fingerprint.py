"""The identity of a run: a hash over the configuration that can change its result."""

import dataclasses
import hashlib
import json
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from hma_ft.config.schema import Config

VERSION = 1  # raise it when the meaning of a setting changes

# What changes where or how a run is done, and not what comes out.
LEFT_OUT = {
    "task",
    "runs_dir",
    "fresh",
    "run",
    "input",
    "output",
    "memory",
    "memory_remove",
    "sweep",
    "tracking",
    "dataset.root",
    "dataset.on_disk",
    "dataset.download",
    "dataset.cache",
    "dataset.cache_gb",
    "dataset.cache_dir",
    "model.label",
    "model.image_size",  # augment.image_size counts
    "method.recipe",  # its values reach optimizer, scheduler and trainer
    "trainer.workers",
    "trainer.device",
    "trainer.log_every",
    "trainer.checkpoint_minutes",
    "trainer.feature_reuse",
    "trainer.feature_reuse_gb",
}

# Settings added since version 1, with the value that means "as before": a run that has it keeps its fingerprint.
ADDED_LATER: dict[str, Any] = {
    "dataset.train_per_class": None,
    "dataset.label_noise": 0.0,
    "dataset.new_classes": 0,
    "dataset.test_corruption": "none",
    "dataset.corruption_severity": 3,
    "method.hma.real.start": "empty",
    "method.hma.keys_start_as_queries": False,
    "method.head_init": "none",
    "method.options.mix": "probabilities",  # of head_knn
    "method.options.voting": "similarity",  # of knn and head_knn
}


def fingerprint(config: Config) -> str:
    """SHA-256, hexadecimal. A weights file counts by its contents, not by its path."""
    flat = dict(_flattened(dataclasses.asdict(config)))
    if config.model.weights is not None:
        flat["model.weights"] = weights_digest(config)
    counted = {key: value for key, value in flat.items() if key not in ADDED_LATER or value != ADDED_LATER[key]}
    text = json.dumps({"version": VERSION, **counted}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def weights_digest(config: Config) -> str | None:
    """SHA-256 of the weights file, hexadecimal; None if the weights come from the hub or from chance."""
    return None if config.model.weights is None else _file_digest(Path(config.model.weights))


def _flattened(node: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """(dotted key, plain value) of all that counts."""
    items: list[tuple[str, Any]] = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        if name in LEFT_OUT:
            continue
        if isinstance(value, dict):
            items += _flattened(value, f"{name}.")
        else:
            items.append((name, value.value if isinstance(value, Enum) else value))
    return items


def _file_digest(path: Path) -> str:
    if not path.is_file():
        return f"missing: {path}"
    state = path.stat()
    return _digest_of_version(path, (state.st_ino, state.st_size, state.st_mtime_ns))


@cache
def _digest_of_version(path: Path, version: tuple[int, int, int]) -> str:
    """Read once a process: every trial of a sweep has the same file. `version` tells when it has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
