"""Why a command line does not compose: one line for each mistake, all at once.

Hydra stops at the first error. Here every override is looked at on its own; what is wrong is named and left out, and
what remains is composed and checked, so that impossible values are reported in the same go.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hma_ft.config.frozen import typed
from hma_ft.config.schema import Config

_COMPOSE_ERRORS = (HydraException, OmegaConfBaseException)
_GROUPS_WITHIN = {"method": "peft"}  # folder of a group that is a group of its own and holds no choices of the outer


def diagnose(
    conf: Path,
    arguments: Sequence[str],
    *,
    further_groups: dict[str, Path],
    problems_of: Callable[[Config], list[str]],
) -> list[str]:
    """One line a mistake in the overrides; empty if none is found.

    `further_groups` are groups whose files lie outside conf/: name to folder. `problems_of` tells impossible values.
    """
    problems: list[str] = []
    overrides = list(_parsed(arguments, problems))
    groups, values = [], []
    for override in overrides:
        if override.key_or_group.startswith("hydra"):
            continue
        folder = further_groups.get(override.key_or_group, conf / override.key_or_group)
        if folder.is_dir() and isinstance(override.value(), str | ChoiceSweep):
            wrong = _wrong_choices(override, folder)
            problems += wrong
            if not wrong and override.key_or_group not in further_groups:
                groups.append(override)
        else:
            values.append(override)
    GlobalHydra.instance().clear()  # of a job that is being run
    with initialize_config_dir(str(conf), version_base="1.3"):
        problems += _value_problems(groups, values, problems_of)
    return problems


def _parsed(arguments: Iterable[str], problems: list[str]) -> Iterable[Override]:
    parser = OverridesParser.create()
    for argument in arguments:
        if argument.startswith("-"):
            continue
        try:
            yield parser.parse_override(argument)
        except HydraException:
            problems.append(f"{argument!r} is no override: write key=value, and quote what has special characters")


def _wrong_choices(override: Override, folder: Path) -> list[str]:
    """Choices of a group that have no file."""
    group = override.key_or_group
    files = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    known = sorted(file.as_posix() for file in files if file.parts[0] != _GROUPS_WITHIN.get(group))
    return [
        f"{group}={choice!s} is not known{_nearest(str(choice), known)}; there are: {', '.join(known)}"
        for choice in _choices(override)
        if choice not in known and choice is not None and choice != "null"
    ]


def _value_problems(
    groups: list[Override], values: list[Override], problems_of: Callable[[Config], list[str]]
) -> list[str]:
    """Unknown keys, wrong types and impossible values, given group choices that exist."""
    lines = [f"{override.key_or_group}={_choices(override)[0]}" for override in groups]
    try:
        cfg = compose("config", lines)
    except _COMPOSE_ERRORS as error:
        return [_first_line(error)]
    problems = []
    for override in values:
        key = override.key_or_group
        if override.is_delete():
            continue
        if not _exists(cfg, key) and not (override.is_add() and _takes_any_key(cfg, key)):
            problems.append(f"{key} is no setting{_nearest(key, _all_keys(cfg))}")
            continue
        for choice in _choices(override):
            problem = _apply(cfg, key, choice)
            if problem:
                problems.append(problem)
    try:
        return problems + problems_of(typed(cfg))
    except _COMPOSE_ERRORS as error:
        return [*problems, _first_line(error)]


def _apply(cfg: DictConfig, key: str, value: Any) -> str | None:
    """Set a value; why it can't be, or None."""
    before = OmegaConf.select(cfg, key)
    try:
        OmegaConf.update(cfg, key, value, merge=True)
    except OmegaConfBaseException as error:
        return f"{key}={value}: {_first_line(error)} (now {before})"
    return None


def _exists(cfg: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    return OmegaConf.is_dict(node) and name in node


def _takes_any_key(cfg: DictConfig, key: str) -> bool:
    """Whether the key is one of a free dictionary, such as model.options."""
    parent = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return isinstance(parent, DictConfig) and OmegaConf.get_type(parent) is dict


def _all_keys(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, node):
        keys.append(f"{prefix}{name}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_interpolation() and not child._is_none():
            keys += _all_keys(child, f"{prefix}{name}.")
    return keys


def _choices(override: Override) -> list[Any]:
    """The values of an override, several in a sweep."""
    if not override.is_sweep_override():
        return [override.value()]
    return list(override.sweep_iterator())


def _nearest(word: str, known: Sequence[str]) -> str:
    """A hint at what may have been meant: the key in a group that ends in the word, or a similar one."""
    same_end = sorted((key for key in known if key.endswith(f".{word}")), key=lambda key: key.count("."))
    found = same_end or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f": did you mean {found[0]}?" if found else ""


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
