"""Overrides that Hydra can't read, or reads otherwise than meant: seen in what was typed, without composing."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig

from hma_ft.config.command_line import CommandLine, has_key, pasteable
from hma_ft.config.expected import expected, node_of, takes_text
from hma_ft.config.groups import OPTIONAL, SEVERAL, Groups
from hma_ft.config.nearest import nearest, nearest_setting
from hma_ft.config.paths import PATHS, user_path
from hma_ft.config.schema import Task

MOST_TRIALS = 10_000
MOST_LISTED = 25  # choices in a line
_SHARED_BY_TRIALS = ("task", "runs_dir", "sweep")


def parse_overrides(texts: Sequence[str]) -> tuple[list[Override], list[str]]:
    """Return the overrides that Hydra's grammar takes, and the texts that it doesn't."""
    parser = OverridesParser.create()
    good: list[Override] = []
    bad: list[str] = []
    for text in texts:
        try:
            override = parser.parse_override(text)
        except HydraException:
            bad.append(text)
            continue
        if override.key_or_group:
            good.append(override)
        else:  # `=x`
            bad.append(text)
    return good, bad


def is_suspect(command: CommandLine, groups: Groups) -> bool:
    """Whether a command line deserves `diagnose` even if Hydra composes it. Takes milliseconds."""
    good, bad = parse_overrides(command.overrides)
    if bad or command.unknown_flags or sweep_problems(good, command, groups):
        return True
    return any(o.is_delete() or o.is_add() or shape_problem(o, command, groups) is not None for o in good)


def text_problem(text: str, cfg: DictConfig, groups: Groups, known: Sequence[str]) -> str:
    """Why a text is no override, and what to type instead. `known`: all settings."""
    if "=" not in text:
        return f"{text!r} is not of the form NAME=VALUE{_meant_by(text, cfg, groups)}"
    name, _, value = text.partition("=")
    if not has_key(text):
        return f"{text!r}: {name!r} can't be the name of a setting"
    key = name.lstrip("+~")
    if key in groups:
        return f"{text}: choose one of {', '.join(groups.choices(key))}"
    if node_of(cfg, key) is None and name == key:
        return f"unknown setting {key}{nearest_setting(key, known)}"
    if not takes_text(cfg, key):
        return f"{text} can't be read: {key} takes {expected(cfg, key)}"
    unquoted = value[1:] if value[:1] in ("'", '"') and value.count(value[0]) == 1 else value
    return f"{text} has characters that mean something to Hydra; quoted, ready to paste: {pasteable(name, unquoted)}"


def _meant_by(word: str, cfg: DictConfig, groups: Groups) -> str:
    meant = [f"task={word}"] if word in Task.__members__ else []
    meant += [f"{group}={word}" for group in groups.names() if word in groups.choices(group)]
    if word == "help":
        meant = ["--help"]
    elif word in groups or node_of(cfg, word) is not None:
        meant = [f"{word}=VALUE"]
    return f": did you mean {' or '.join(meant)}?" if meant else "; a text with blanks is quoted: 'NAME=\"a b\"'"


def shape_problem(
    override: Override, command: CommandLine, groups: Groups, cfg: DictConfig | None = None
) -> str | None:
    """Why the value can't be of this kind, whatever it says; `cfg` lets the answer name what the setting takes."""
    name = override.key_or_group
    if override.is_sweep_override():
        return _sweep_problem(override, command, groups, cfg)
    if name.split(".")[0].split("/")[0] == "sweep" and not command.multirun and not _is_for_a_task(command):
        return f"{override.input_line} is for a sweep: add -m, or task=status or task=cancel"
    if name not in groups or override.is_delete():
        return None
    value = override.value()
    if (value is None and name in OPTIONAL) or isinstance(value, str | dict):
        return None
    if isinstance(value, list) and name in SEVERAL:
        unknown = [str(choice) for choice in value if choice not in groups.choices(name)]
        return unknown_choice(name, unknown[0], groups.choices(name)) if unknown else None
    if isinstance(value, list):
        several = ",".join(map(str, value))
        return f"{override.input_line}: give one {name}; a sweep over several is -m {shlex.quote(f'{name}={several}')}"
    return unknown_choice(name, "null" if value is None else str(value), groups.choices(name))


def _is_for_a_task(command: CommandLine) -> bool:
    """Whether nothing is trained by this command."""
    tasks = [text.partition("=")[2] for text in command.overrides if text.lstrip("+").startswith("task=")]
    return command.shows_only or tasks[-1:] not in ([], ["train"])


def _sweep_problem(override: Override, command: CommandLine, groups: Groups, cfg: DictConfig | None) -> str | None:
    name, text = override.key_or_group, str(override.input_line)
    raw = text.partition("=")[2]
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        if any(other.startswith("hydra/sweeper=") for other in command.overrides):
            return None  # one that draws
        return f"{text}: trials are not drawn from an interval; list the values, or use range(START,STOP,STEP)"
    if isinstance(sweep, Glob) and name not in groups:
        return f"{text}: glob chooses from a group, and {name} is a setting; list the values"
    if not isinstance(sweep, ChoiceSweep) or not sweep.simple_form:
        return None if command.multirun else f"{text} gives several values: add -m to run a trial for each"
    as_text = name not in groups and (cfg is None or takes_text(cfg, name))
    quoted = f"one value with a comma is quoted: {pasteable(name, raw)}" if as_text else ""
    if cfg is not None and isinstance(node_of(cfg, name), ListConfig):
        quoted = f"a list is written in brackets: {shlex.quote(f'{name}=[{raw}]')}"
    if command.multirun:
        whole = name in PATHS and Path(user_path(raw)).exists()
        if whole or name in _SHARED_BY_TRIALS:
            reason = "is a path that exists" if whole else "names several, and all trials of a sweep share one"
            return f"{text} {reason}" + (f"; {quoted}" if quoted else "")
        return None
    number = len(sweep.list)
    return f"{text} gives {number} values: add -m to run a trial for each" + (f"; {quoted}" if quoted else "")


def sweep_problems(overrides: Sequence[Override], command: CommandLine, groups: Groups) -> list[str]:
    """Sweeps of nothing, or of more than anyone runs."""
    if not command.multirun:
        return []
    swept = [override for override in overrides if override.is_sweep_override()]
    counts = {str(override.input_line): count_values(override, groups) for override in swept}
    problems = [f"{text} gives no value" for text, count in counts.items() if count == 0]
    total = math.prod(counts.values())
    if total > MOST_TRIALS:
        problems.append(f"{' '.join(counts)} asks for {total:,} trials: at most {MOST_TRIALS:,} are run by one command")
    return problems


def count_values(override: Override, groups: Groups) -> int:
    """Number of values of a sweep."""
    sweep = override.value()
    if isinstance(sweep, ChoiceSweep):
        return len(sweep.list)
    if isinstance(sweep, Glob):
        return len(sweep.filter(groups.choices(override.key_or_group)))
    if isinstance(sweep, RangeSweep) and sweep.start is not None and sweep.stop is not None and sweep.step:
        return max(0, math.ceil((sweep.stop - sweep.start) / sweep.step))
    return 0 if isinstance(sweep, RangeSweep) else 1


def unknown_choice(group: str, choice: str, known: Sequence[str]) -> str:
    """The line for a choice that a group doesn't have."""
    hint = "" if choice == "null" else nearest(choice, known)
    listed = f"there are: {', '.join(known)}" if len(known) <= MOST_LISTED else "python run.py --help lists them"
    return f"unknown choice {group}={choice}{hint}; {listed}"
