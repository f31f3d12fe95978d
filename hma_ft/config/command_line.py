"""What was typed, taken apart: Hydra's flags, and overrides of settings.

Hydra's own parser stops at an override behind a flag, takes `~` for an error, and reports both in riddles.
"""

import os
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from hma_ft.errors import UserError

_HOME = re.compile(r"(?<=[=,])~(?=/|,|$)")
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_KEY = re.compile(r"[+~]{0,2}[A-Za-z_@][\w./@-]*", re.ASCII)


class CommandLine(NamedTuple):
    """The arguments of run.py."""

    flags: list[str]  # Hydra's, with their values
    unknown_flags: list[str]
    overrides: list[str]
    multirun: bool
    config_dir: str | None  # of --config-dir
    own_config: bool  # --config-name or --config-path replaces conf/config.yaml
    shows_only: bool  # --cfg or --info: nothing is run

    @property
    def arguments(self) -> list[str]:
        """The same command line in the order that Hydra understands."""
        return [*self.overrides, *self.unknown_flags, *self.flags]


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Take the arguments apart; `~` in front of a path becomes the home directory.

    Raises:
        UserError: a flag without its value, or with one that it doesn't take.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # it would print all flags and exit
    if any(argument.partition("=")[0] == "--experimental-rerun" for argument in arguments):
        raise UserError("--experimental-rerun: a run is repeated by its own command, which env.json of the run holds")
    known, rest = parser.parse_known_intermixed_args(list(arguments))
    unknown = [argument for argument in rest if argument.startswith("-")]
    left = [*known.overrides, *(argument for argument in rest if not argument.startswith("-"))]
    overrides, flags = [], []
    for argument in arguments:
        if argument in left:
            left.remove(argument)
            overrides.append(_with_home(argument))
        elif argument not in unknown:
            flags.append(argument)
    return CommandLine(
        flags=flags,
        unknown_flags=unknown,
        overrides=overrides,
        multirun=known.multirun,
        config_dir=known.config_dir,
        own_config=known.config_name is not None or known.config_path is not None,
        shows_only=known.cfg is not None or known.info is not None,
    )


def _refuse(message: str) -> NoReturn:
    raise UserError(f"{message.removeprefix('argument ')}; python run.py --hydra-help explains the flags")


def _with_home(argument: str) -> str:
    """Hydra knows no unquoted `~` in a value, so nothing else can be meant."""
    return argument if re.search(r"""["']""", argument) else _HOME.sub(os.path.expanduser("~"), argument)


def pasteable(key: str, value: str) -> str:
    """`key=value` quoted for Hydra and for a shell, so that the value is one text, whatever is in it."""
    escaped = _INTERPOLATION.sub(lambda found: found[1] * 2 + "\\${", value)
    return shlex.quote(f"{key}={QuotedString(escaped, Quote.double).with_quotes()}")


def has_key(argument: str) -> bool:
    """Whether the argument is `key=value` with something that can be a key."""
    key, equals, _ = argument.partition("=")
    return bool(equals and _KEY.fullmatch(key))


def parses(argument: str) -> bool:
    """Whether Hydra's grammar takes the argument."""
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True
