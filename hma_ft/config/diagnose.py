"""Why a command line does not compose: one line for each mistake, all at once.

Hydra stops at the first error. Here every override is looked at on its own; what is wrong is named and left out, and
what remains is composed and checked, so that impossible values are reported in the same go.
"""

import copy
import itertools
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, FloatNode, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hma_ft.config.command_line import CommandLine, pasteable
from hma_ft.config.expected import expected, node_of, shown, takes_text
from hma_ft.config.frozen import typed
from hma_ft.config.groups import OPTIONAL, Groups
from hma_ft.config.nearest import nearest, nearest_setting
from hma_ft.config.schema import Config
from hma_ft.config.syntax import (
    MOST_TRIALS,
    count_values,
    parse_overrides,
    shape_problem,
    sweep_problems,
    text_problem,
    unknown_choice,
)
from hma_ft.errors import UserError

VALUES_LOOKED_AT = 1000  # of one sweep
GRIDS = "sweep.tune.grids."
_COMPOSE_ERRORS = (HydraException, OmegaConfBaseException)


def diagnose(command: CommandLine, groups: Groups, *, problems_of: Callable[[Config], list[str]]) -> list[str]:
    """One line a mistake in the command; empty if none is found. `problems_of` tells impossible values."""
    if command.own_config:
        return []  # of another schema, which Hydra alone knows
    overrides, texts = parse_overrides(command.overrides)
    GlobalHydra.instance().clear()  # of a job that is being run
    with initialize_config_dir(str(groups.conf), version_base="1.3"):
        problems, lines, values = _choices_of_groups(overrides, command, groups)
        try:
            cfg = compose("config", lines, return_hydra_config=True)
        except _COMPOSE_ERRORS as error:
            return [*problems, first_line(error)]
    OmegaConf.set_readonly(cfg.hydra, False)
    known = _all_keys(cfg)
    problems = [text_problem(text, cfg, groups, known) for text in texts] + problems
    problems += [_unknown_flag(flag, [*groups.names(), *known]) for flag in command.unknown_flags]
    for override in values:
        if override.is_sweep_override() and count_values(override, groups) > MOST_TRIALS:
            continue
        found = shape_problem(override, command, groups, cfg)
        problems += [found] if found else list(_value_problems(cfg, override))
    problems += sweep_problems(overrides, command, groups)
    wrong = tuple(f"{text.partition('=')[0].lstrip('+~')}=" for text in command.overrides if _is_named(text, problems))
    try:
        task = OmegaConf.masked_copy(cfg, [str(name) for name in cfg if name != "hydra"])
        impossible = problems_of(typed(task))
    except _COMPOSE_ERRORS as error:
        impossible = [first_line(error)]
    except UserError as error:
        impossible = str(error).splitlines()
    return problems + [problem for problem in impossible if not problem.startswith(wrong)]


def _is_named(text: str, problems: list[str]) -> bool:
    """Whether an override is among the problems, so that what counts without it is of no interest."""
    return any(problem.startswith(text.partition("=")[0]) for problem in problems)


def _choices_of_groups(
    overrides: list[Override], command: CommandLine, groups: Groups
) -> tuple[list[str], list[str], list[Override]]:
    """Problems of the groups' choices, the overrides that choose from them, and the overrides of settings."""
    problems, lines, values = [], [], []
    if command.config_dir is not None and Path(command.config_dir).is_dir():
        address = f"file://{Path(command.config_dir).absolute()}"
        lines.append(f"hydra.searchpath=[{QuotedString(address, Quote.double).with_quotes()}]")
    for override in overrides:
        name = override.key_or_group
        known = groups.choices(name) if name in groups else _hydra_choices(name)
        if not known or isinstance(override.value(), dict):
            values.append(override)
            continue
        found = _choice_problems(override, known, shape_problem(override, command, groups))
        problems += found
        if not (found or override.is_delete()):
            lines += [f"{override.get_key_element()}={text}" for _, text in itertools.islice(_values(override), 1)]
    return problems, lines, values


def _choice_problems(override: Override, known: list[str], shape: str | None) -> list[str]:
    """What is wrong with the choice of a group; `shape` is what `shape_problem` says."""
    name = override.key_or_group
    if override.package is not None:
        return [f"{override.input_line}: no package can be chosen by @ here; write {name}=CHOICE"]
    if override.is_delete():
        kept = f"~{name}: this group can't be left out; choose from it by {name}=CHOICE"
        return [] if name in OPTIONAL else [kept]
    if shape is not None:
        return [shape]
    chosen = [(value, text) for value, text in _values(override) if isinstance(value, str)]
    return [unknown_choice(name, text, known) for value, text in chosen if value.removesuffix(".yaml") not in known]


def _hydra_choices(name: str) -> list[str]:
    """Choices of Hydra's own groups, such as hydra/launcher."""
    if not name.startswith("hydra/"):
        return []
    return GlobalHydra.instance().config_loader().get_group_options(name)


def _unknown_flag(flag: str, known: list[str]) -> str:
    name = flag.lstrip("-").partition("=")[0]
    return f"unknown flag {flag}: settings are given as NAME=VALUE, without dashes{nearest(name, known)}"


def _value_problems(cfg: DictConfig, override: Override) -> Iterator[str]:
    """What is wrong with the override of a setting; what is right is set in `cfg`."""
    key, adds = override.key_or_group, override.is_add()
    exists, is_free = node_of(cfg, key) is not None, _takes_any_key(cfg, key)
    if override.is_delete():
        if not exists:
            yield f"~{key}: unknown setting {key}{nearest_setting(key, _known(cfg, key))}"
        elif not is_free:
            yield f"~{key}: a setting can't be taken out; give it another value (now {_now(cfg, key)})"
    elif adds and not override.is_force_add() and exists and not isinstance(override.value(), dict):
        yield f"{override.input_line}: {key} is there already; leave out the plus sign"
    elif not exists and key.startswith(GRIDS) and "." in key.removeprefix(GRIDS):
        yield f"{key}: {_grid_as_a_whole(cfg, override)}"
    elif not exists and not (is_free and adds):
        hint = f"; a new one is added by +{override.input_line}" if is_free else nearest_setting(key, _known(cfg, key))
        yield f"unknown setting {key}{hint}"
    else:
        for value, text in _values(override):
            yield from _set(cfg, key, value, text, adds=adds)


def _grid_as_a_whole(cfg: DictConfig, override: Override) -> str:
    """How a setting of a grid is given: its name has dots, which would be read as groups."""
    method, _, setting = override.key_or_group.removeprefix(GRIDS).partition(".")
    plus = "" if node_of(cfg, f"{GRIDS}{method}") is not None else "+"
    value = str(override.input_line).partition("=")[2]
    return f"a grid is given whole, as '{plus}{GRIDS}{method}={{{setting}: {value}}}'"


def _set(cfg: DictConfig, key: str, value: Any, text: str, *, adds: bool) -> Iterator[str]:
    """Set a value, or say why it can't be and leave `cfg` as it was. `text` is what was typed for it."""
    node, is_free = node_of(cfg, key), _takes_any_key(cfg, f"{key}.x")
    if isinstance(value, dict) and isinstance(node, DictConfig) and not (is_free and adds):
        for name, inner in value.items():
            if name in node:
                yield from _set(cfg, f"{key}.{name}", inner, shown(inner), adds=adds)
            else:
                plus = "; a new one is added by " + shlex.quote(f"+{key}={text}")
                hint = plus if is_free else nearest_setting(f"{key}.{name}", _all_keys(cfg))
                yield f"unknown setting {key}.{name}{hint}"
        return
    if value == "???":
        yield f"{key}=??? stands for a value that is still missing: give one (now {_now(cfg, key)})"
        return
    tried = copy.deepcopy(cfg)
    try:
        OmegaConf.update(tried, key, value, merge=True, force_add=adds)
    except OmegaConfBaseException as error:
        takes = expected(cfg, key)
        if isinstance(value, float) and value.is_integer() and not isinstance(node, FloatNode):
            takes += f", such as {value:.0f}"
        yield f"{key}={text} must be {takes} (now {_now(cfg, key)})" if takes else f"{key}={text}: {first_line(error)}"
        return
    try:
        found = OmegaConf.select(tried, key)
        if OmegaConf.is_config(found):
            OmegaConf.to_container(found, resolve=True)
    except OmegaConfBaseException as error:
        literal = isinstance(value, str) and takes_text(cfg, key)
        hint = f"; to mean the characters themselves: {pasteable(key, value)}" if literal else ""
        yield f"{key}={text}: {first_line(error)}{hint}"
        return
    OmegaConf.update(cfg, key, value, merge=True, force_add=adds)


def _now(cfg: DictConfig, key: str) -> str:
    """The value that counts without the override."""
    try:
        return shown(OmegaConf.select(cfg, key))
    except OmegaConfBaseException:  # it refers to something that is wrong itself
        return shown(node_of(cfg, key))


def _takes_any_key(cfg: DictConfig, key: str) -> bool:
    """Whether the key is one of a free dictionary, such as model.options.

    The YAML of a method or a data set declares all that it has.
    """
    if key.startswith(("method.options.", "dataset.options.")):
        return False
    parent = node_of(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return isinstance(parent, DictConfig) and OmegaConf.get_type(parent) is dict and parent._get_full_key(None) != ""


def _known(cfg: DictConfig, key: str) -> list[str]:
    """All settings of the same half: Hydra's own, or ours."""
    return _all_keys(cfg.hydra, "hydra.") if key.startswith("hydra.") else _all_keys(cfg)


def _all_keys(node: DictConfig, prefix: str = "") -> list[str]:
    keys = []
    for name in map(str, node):
        if name == "hydra" and not prefix:
            continue
        keys.append(f"{prefix}{name}")
        child = node._get_node(name)
        if isinstance(child, DictConfig) and not child._is_interpolation() and not child._is_none():
            keys += _all_keys(child, f"{prefix}{name}.")
    return keys


def _values(override: Override) -> Iterator[tuple[Any, str]]:
    """The values of an override with what was typed for each; several in a sweep."""
    if not override.is_sweep_override():
        yield override.value(), str(override.input_line).partition("=")[2]
    elif isinstance(override.value(), ChoiceSweep | RangeSweep):  # Hydra looks for the matches of a glob
        for value in itertools.islice(override.sweep_iterator(), VALUES_LOOKED_AT):
            yield value, Override._get_value_element_as_str(value)


def first_line(error: Exception) -> str:
    """What an exception says on its first line, or its kind; where that ends in a colon, the next one too."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
