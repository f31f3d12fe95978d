"""Trials of a sweep that choose the same options of groups are composed once; their values are set on copies."""

import copy
from collections.abc import Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


class SharedComposition:
    """Hydra's configuration loader with a quicker way to compose the trials of a sweep, and equal results.

    Hydra reads and merges some twenty YAML files for each trial, twice: a quarter of a second each time. Options of
    groups decide what is merged; a plain `key=value` is set on the outcome, last of all. Whatever is not so plain
    (`+key`, `~key`, a dictionary, Hydra's own settings) goes the long way, as do mistakes: Hydra words them.
    """

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._parser = OverridesParser.create(config_loader=loader)
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._is_group: dict[str, bool] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """Return the configuration of one trial of the multirun whose own configuration is `master_config`."""
        overrides = self._parser.parse_overrides(list(sweep_overrides))
        values = [override for override in overrides if self._is_plain(override)]
        if not values:
            return self._loader.load_sweep_config(master_config, list(sweep_overrides))
        composed = copy.deepcopy(self._base(master_config, overrides))
        try:
            for override in values:
                _set(composed, override)
        except (OmegaConfBaseException, _NotPlain):
            return self._loader.load_sweep_config(master_config, list(sweep_overrides))
        _tell_overrides(composed, [override for override in overrides if not override.is_hydra_override()])
        OmegaConf.copy_cache(from_config=master_config, to_config=composed)
        return composed

    def _base(self, master_config: DictConfig, overrides: Sequence[Override]) -> DictConfig:
        """Return what all trials with these options of groups share."""
        key = tuple(str(override.input_line) for override in overrides if not self._is_plain(override))
        if key not in self._composed:
            self._composed[key] = self._loader.load_sweep_config(master_config, list(key))
        return self._composed[key]

    def _is_plain(self, override: Override) -> bool:
        """Whether it is `key=value`, with a value that is no dictionary, of a setting that is no group."""
        key = override.key_or_group
        if override.is_hydra_override() or override.package is not None or "/" in key:
            return False
        if override.is_add() or override.is_delete() or override.is_force_add():
            return False
        if key not in self._is_group:
            self._is_group[key] = bool(self._loader.get_group_options(key))
        return not self._is_group[key]


class _NotPlain(Exception):
    """The setting is a dictionary, so that what is set would be merged into it."""


def _set(composed: DictConfig, override: Override) -> None:
    """Set a value as Hydra does, where there is one."""
    if OmegaConf.is_dict(OmegaConf.select(composed, override.key_or_group, throw_on_missing=False)):
        raise _NotPlain
    OmegaConf.update(composed, override.key_or_group, override.value(), merge=True)


def _tell_overrides(composed: DictConfig, overrides: Sequence[Override]) -> None:
    """Record the overrides where a composition of its own would have."""
    lines = [str(override.input_line) for override in overrides]
    style = composed.hydra.job.config.override_dirname
    named = sorted(
        line for line, override in zip(lines, overrides, strict=True) if override.key_or_group not in style.exclude_keys
    )
    composed.hydra.overrides.task = lines
    composed.hydra.job.override_dirname = style.item_sep.join(named).replace("=", style.kv_sep)
