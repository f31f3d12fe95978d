"""The entry: `python run.py method=hma dataset=dtd`. `python run.py --help` explains the groups."""

import importlib
import os
import signal
import sys
from functools import partial
from pathlib import Path
from threading import Event

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hma_ft.config.aliases import with_current_overrides
from hma_ft.config.checks import check, needs_timm
from hma_ft.config.command_line import CommandLine, read_command_line
from hma_ft.config.diagnose import diagnose, first_line
from hma_ft.config.frozen import typed
from hma_ft.config.given import given_keys
from hma_ft.config.groups import Groups
from hma_ft.config.reads import unread
from hma_ft.config.register import register_schema
from hma_ft.config.schema import Config, Task
from hma_ft.config.syntax import is_suspect
from hma_ft.errors import Interrupted, UserError
from hma_ft.files.atomic import translate_os_errors
from hma_ft.shortages import shortages_explained

HERE = Path(__file__).resolve().parent
OPEN_A_RUN = (Task.evaluate, Task.predict, Task.export, Task.sync)
_job = Event()  # set once Hydra has composed and a job runs in this process


@hydra.main(version_base="1.3", config_path=str(HERE / "conf"), config_name="config")
def main(cfg: DictConfig) -> float | None:
    """One job. What the user can mend ends the program here: Hydra would print more than the message."""
    _job.set()
    try:
        return run_task(typed(cfg), given_keys(HydraConfig.get().overrides.task))
    except OmegaConfBaseException as error:
        sys.exit(_complain(_mistakes() or [first_line(error)]))
    except UserError as error:
        sys.exit(_complain(str(error).splitlines()))
    except Interrupted as error:
        print(error, file=sys.stderr)
        sys.exit(128 + error.signum)


def run_task(config: Config, given: frozenset[str]) -> float | None:
    """Check the configuration, then hand it to its task. Returns val top-1 to a sweeper.

    `given` are the settings that the command line names: for a finished run they count, and defaults don't.
    """
    problems = problems_of(config)
    if problems:
        raise UserError("\n".join(problems))
    if config.task is Task.train:
        from hma_ft.experiment import run  # torch comes with it

        if os.environ.get("RANK", "0") == "0" and (never := unread(config, given)):
            print(f"note: this run never reads {', '.join(never)}", file=sys.stderr)
        return run(config).val_top1
    task = getattr(importlib.import_module(f"hma_ft.tasks.{config.task.value}"), config.task.value)
    with shortages_explained(), translate_os_errors(config.output or config.run or config.runs_dir):
        code = task(config, given) if config.task in OPEN_A_RUN else task(config)
    if code:
        sys.exit(code)
    return None


def problems_of(config: Config, *, valid: bool = True) -> list[str]:
    """Every mistake. What only timm can tell is asked where nothing else is wrong, or the command line calls for it.

    `valid` is false where mistakes are known already.
    """
    problems = check(config)
    if config.task is Task.train and ((valid and not problems) or needs_timm(sys.argv[1:])):
        from hma_ft.methods.validate import model_problems

        problems += model_problems(config)
    return problems


def entry() -> int:
    """Run Hydra; turn what the user can mend into plain lines and exit code 2."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        from hma_ft.config.help import help_text

        print(help_text(Groups(HERE / "conf")), end="")
        return 0
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors reach this function instead of being printed by Hydra
    sys.path.insert(0, str(HERE))
    register_schema()
    try:
        sys.argv[1:], renamed = with_current_overrides(sys.argv[1:])
        for note in renamed:
            print(f"warning: {note}", file=sys.stderr)
        command = read_command_line(sys.argv[1:])
        sys.argv[1:] = command.arguments
        found = _mistakes() if is_suspect(command, _groups(command)) else []
        if found:
            return _complain(found)
        main()
    except SystemExit as error:
        if error.code == 1 and command.shows_only:  # Hydra's, for a --package that there isn't
            return 2
        raise
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except UserError as error:
        return _complain(str(error).splitlines())
    except (HydraException, OmegaConfBaseException) as error:
        return _complain(_mistakes() or [first_line(error)])
    except YAMLError as error:
        return _complain([" ".join(str(error).split())])
    except OSError as error:
        if _job.is_set():
            raise
        return _complain([f"{error.filename}: {error.strerror}"])
    return 0


def _groups(command: CommandLine) -> Groups:
    return Groups(HERE / "conf", command.config_dir)


def _mistakes() -> list[str]:
    """All that is wrong with the command line, of which Hydra finds the first."""
    command = read_command_line(sys.argv[1:])
    return diagnose(command, _groups(command), problems_of=partial(problems_of, valid=False))


def _complain(lines: list[str]) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(entry())
