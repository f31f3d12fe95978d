"""Settings that were renamed: old run directories, archives and command lines keep working.

A fingerprint hashes the old name, so that a rename changes no run's identity. Nothing heavy is imported.
"""

from collections.abc import Mapping, Sequence
from typing import Any

# Name of today -> the name that is hashed, and that older records and command lines have.
RENAMED = {
    "trainer.num_workers": "trainer.workers",
    "trainer.cache_features": "trainer.feature_reuse",
    "trainer.cache_features_gb": "trainer.feature_reuse_gb",
    "model.short_name": "model.label",
    "method.hma.batch_attention": "method.hma.datapoints",
    "method.hma.score_scale": "method.hma.temperature",
    "method.hma.tie_query_key_init": "method.hma.keys_start_as_queries",
    "method.hma.null_key": "method.hma.null_slot",
    "dataset.held_out_classes": "dataset.new_classes",
    "augment.auto_augment": "augment.policy",
}
LAUNCHER_RENAMED = {"hydra.launcher.n_jobs": "hydra.launcher.jobs"}  # no setting of a run
_CURRENT = {old: new for new, old in (RENAMED | LAUNCHER_RENAMED).items()}

# Packages that classes moved to, and where `dataset.target` and `method.target` found them before.
_MOVED_TARGETS = {"hma_ft.data.datasets.": "hma_ft.data.sources."}


def hashed_setting(key: str, value: Any) -> tuple[str, Any]:
    """Name and value under which a setting enters the fingerprint."""
    if key.endswith(".target") and isinstance(value, str):
        for new, old in _MOVED_TARGETS.items():
            value = old + value.removeprefix(new) if value.startswith(new) else value
    return RENAMED.get(key, key), value


def current_setting(key: str, value: Any) -> tuple[str, Any]:
    """Name and value today of a setting that an older record holds; the inverse of `hashed_setting`."""
    if key.endswith(".target") and isinstance(value, str):
        for new, old in _MOVED_TARGETS.items():
            value = new + value.removeprefix(old) if value.startswith(old) else value
    return _CURRENT.get(key, key), value


def with_current_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings of a record of any age, under the names of today; each keeps its place in its group."""
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        key, inner = current_setting(f"{prefix}{name}", value)
        if isinstance(inner, Mapping):
            inner = with_current_names(inner, f"{prefix}{name}.")
        renamed[key.removeprefix(prefix)] = inner
    return renamed


def with_current_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flat settings of a record of any age (`method.hma.heads`), under the names of today."""
    return dict(current_setting(key, value) for key, value in values.items())


def with_current_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line under the names of today, and one line for each name that was replaced."""
    translated, notes = [], []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        bare = key.lstrip("+~")
        name, current = current_setting(bare, value)
        translated.append(key.removesuffix(bare) + name + equals + current if equals else argument)
        if equals and name != bare:
            notes.append(f"{bare} is called {name} now")
        elif equals and current != value:
            notes.append(f"{bare}={value} is called {current} now")
    return translated, notes
