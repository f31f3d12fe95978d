"""The identity of a run: a hash over the configuration that can change its result.

Old runs keep their fingerprints when settings are added (`ADDED_LATER`) and when a setting comes to mean something else
(`CHANGED`), unless they use it. A setting that was renamed is hashed under its old name (`hma_ft/config/aliases.py`).
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hma_ft.config.aliases import hashed_setting
from hma_ft.config.reads import as_read
from hma_ft.config.schema import Config, Precision

VERSION = 1  # to raise it would take all old runs their fingerprints: CHANGED takes them from those concerned

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
    "coverage",
    "nearest",
    "sweep",
    "tracking",
    "dataset.root",
    "dataset.on_disk",
    "dataset.download",
    "dataset.cache",
    "dataset.cache_gb",
    "dataset.cache_dir",
    "dataset.verify_content",
    "model.short_name",
    "model.image_size",  # augment.image_size counts
    "method.recipe",  # its values reach optimizer, scheduler and trainer
    "method.reads",  # what is not read counts with its default
    "trainer.num_workers",
    "trainer.device",
    "trainer.log_every",
    "trainer.checkpoint_minutes",
    "trainer.eval_cache_gb",
    "trainer.cache_features",
    "trainer.cache_features_gb",
    "trainer.profile_steps",
}

# Settings added since version 1, with the value that means "as before": a run that has it keeps its fingerprint.
ADDED_LATER: dict[str, Any] = {
    "dataset.train_per_class": None,
    "dataset.label_noise": 0.0,
    "dataset.held_out_classes": 0,
    "dataset.one_batch": None,
    "dataset.test_corruption": "none",
    "dataset.corruption_severity": 3,
    "dataset.test_fraction": 0.2,
    "dataset.exif_orientation": False,
    "dataset.options.group": None,  # of folder
    "dataset.options.fold": None,
    "augment.resize": "crop",
    "augment.views": None,
    "model.normalise": True,
    "trainer.select": "best",
    "trainer.patience": None,
    "trainer.sampling": "uniform",
    "trainer.class_weights": "none",
    "trainer.logit_adjustment": 0.0,
    "method.hma.real.start": "empty",
    "method.hma.tie_query_key_init": False,
    "method.peft.name": "none",
    "method.peft.target": None,
    "method.peft.drop_path": 0.0,
    "method.head_init": "none",
    "method.options.mix": "probabilities",  # of head_knn
    "method.options.voting": "similarity",  # of knn and head_knn
}


class Change(NamedTuple):
    """What a setting has come to mean since version 1, for the runs to which it makes a difference."""

    key: str  # no setting has this name; its value is hashed beside the settings
    value: str
    when: Callable[[Config], bool]


def _target_is(config: Config, *class_names: str) -> bool:
    return config.method.target.rpartition(".")[2] in class_names


def _maps_images(config: Config) -> bool:
    augment = config.augment
    return bool(
        augment.affine_degrees or augment.affine_translate or augment.affine_scale or augment.auto_augment is not None
    )


def _decays_embeddings(config: Config) -> bool:
    hma = config.method.hma
    augmented = hma.real.size > 0 or hma.synthetic.slots > 0 or hma.batch_attention
    return config.optimizer.weight_decay > 0 and augmented and _target_is(config, "HMA")


def _calibrates(config: Config) -> bool:
    lists = (value for value in config.method.options.values() if isinstance(value, list))
    return _target_is(config, "HeadKNN", "Cache") and any(len(value) > 1 for value in lists)


CHANGED = (
    # outside an image that is turned, shifted, zoomed or sheared: black before
    Change("augment.fill", "mean colour", _maps_images),
    # no warm-up before
    Change("trainer.ema_warmup", "(1 + t) / (10 + t)", lambda c: c.trainer.ema_decay is not None),
    # slots and label table decayed before
    Change("optimizer.exempt", "embeddings of the memory", _decays_embeddings),
    # similarities, votes, weights of attention and soft labels followed autocast before
    Change(
        "trainer.choices",
        "single precision",
        lambda c: c.trainer.precision is not Precision.fp32 and _target_is(c, "HMA", "KNN", "HeadKNN"),
    ),
    # chosen in single precision, for predictions in a lower one, before
    Change(
        "trainer.calibration",
        "in the precision of evaluation",
        lambda c: c.trainer.precision is not Precision.fp32 and _calibrates(c),
    ),
    # images of classes that come later took part in what val chose, and a cache had no keys of them, before
    Change(
        "dataset.later_classes",
        "after val has chosen",
        lambda c: c.dataset.held_out_classes > 0 and (_target_is(c, "KNN", "Cache") or _calibrates(c)),
    ),
)


def fingerprint(config: Config) -> str:
    """SHA-256, hexadecimal. A weights file counts by its contents, not by its path."""
    return fingerprint_with(config, weights_digest(config))


def fingerprint_with(config: Config, weights: str | None) -> str:
    """The same, given the digest of the weights file."""
    config = as_read(config)
    flat = dict(_flattened(dataclasses.asdict(config)))
    if config.model.weights is not None:
        flat["model.weights"] = weights
    counted = dict(
        hashed_setting(key, value) for key, value in flat.items() if key not in ADDED_LATER or value != ADDED_LATER[key]
    )
    changed = {change.key: change.value for change in CHANGED if change.when(config)}
    text = json.dumps({"version": VERSION, **counted, **changed}, sort_keys=True)
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
    return _digest_of_version(path, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@cache
def _digest_of_version(path: Path, version: tuple[int, int, int, int]) -> str:
    """Read once a process: every trial of a sweep has the same file. `version` tells when it has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
