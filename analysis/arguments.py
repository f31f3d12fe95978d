"""key=value arguments of the tools that read one run, and how every tool ends."""

import difflib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hma_ft.config.paths import user_path
from hma_ft.errors import UserError
from hma_ft.files.writable import file_refusal, folder_refusal
from hma_ft.shortages import shortages_explained

MOST = 1000  # of what is counted on the command line
_PATHS = ("run", "out", "dataset_root", "weights")
_INTERRUPTED, _READER_LEFT = 130, 141  # 128 + SIGINT, 128 + SIGPIPE


def parse(arguments: Sequence[str], defaults: Mapping[str, str | None]) -> dict[str, str | None]:
    """Values by key, those not given as in `defaults`; `~` is the home directory in paths.

    Raises:
        UserError: what is not of the form key=value, or no key.
    """
    values = dict(defaults)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise UserError(f"{argument} is not of the form key=value; the keys are {', '.join(defaults)}")
        if key not in defaults:
            near = difflib.get_close_matches(key, defaults, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(defaults)}"
            raise UserError(f"unknown key {key}; {hint}")
        values[key] = (user_path(value) if key in _PATHS else value) or None
    return values


def positive(values: Mapping[str, str | None], key: str) -> int:
    """The value of a key that counts something. UserError unless it is a whole number from 1 to MOST."""
    text = values[key] or ""
    if not text.isdecimal() or not 0 < int(text) <= MOST:
        raise UserError(f"{key}={text} must be a whole number from 1 to {MOST}")
    return int(text)


def require_folder(name: str, folder: Path) -> None:
    """UserError, before anything is read, where no file can be written into `folder`. `name`: the option."""
    reason = folder_refusal(folder)
    if reason:
        raise UserError(f"{name} {folder} can't be written ({reason}): give another directory")


def require_file(name: str, file: Path) -> None:
    """UserError, before anything is read, where `file` can't be written; directories above it will be made."""
    reason = file_refusal(file, makes_parents=True)
    if reason:
        raise UserError(f"{name} {file} can't be written ({reason}): give another file")


def run_tool(main: Callable[[Sequence[str]], None], help_text: str | None) -> int:
    """The exit code of `python -m ...` with key=value arguments."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print((help_text or "").strip())
        return 0
    return exit_code(lambda: main(sys.argv[1:]))


def exit_code(run: Callable[[], int | None]) -> int:
    """0, or what `run` returns; 2 after one line for a mistake that the user can mend; 130 after Ctrl-C."""
    try:
        with shortages_explained():
            code = run() or 0
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # such as `| head`; what is left goes nowhere, as Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_LEFT
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
    return 2
