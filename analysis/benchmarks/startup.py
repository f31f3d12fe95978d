"""How long the start takes: `run.py --cfg job` beside a bare Hydra app, and a run's imports beside torch's and timm's.

python -m analysis.benchmarks.startup [--quick]

The bare app composes the same files of conf/ and does nothing else; a second one has a single key. Times are those of
the processor (user and system), so that a busy disk does not count; modules are compiled already.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from analysis.benchmarks.measurement import REPOSITORY, Measurement, Options, main
from analysis.benchmarks.timing import Times, ratio

APP = """\
import hydra


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    pass


main()
"""
OURS_ALONE = re.compile(r"^  - (schema|override hydra/launcher: local)\n", re.MULTILINE)


IMPORTS = {"run": "import hma_ft.experiment", "libraries": "import torch, timm"}


def measure(options: Options) -> list[Measurement]:
    """Both comparisons, and the imports."""
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            "run.py": REPOSITORY / "run.py",
            "same": _bare_app(Path(folder) / "same", REPOSITORY / "conf"),
            "empty": _bare_app(Path(folder) / "empty", None),
        }
        commands = {name: [str(program), "--cfg", "job"] for name, program in programs.items()}
        commands |= {name: ["-c", code] for name, code in IMPORTS.items()}
        times = _in_turn(commands, options.size(9, 1))
    what = f"run.py --cfg job: {times['run.py']}"
    composed, imported = (ratio(times[ours], times[bare]) for ours, bare in (("run.py", "same"), ("run", "libraries")))
    return [
        Measurement(
            what,
            f"a bare Hydra app with the same conf/: {times['same']}",
            composed[1],
            "at most 1.2 x",
            composed[0] <= 1.2,
        ),
        Measurement(
            what, f"a bare Hydra app with one key: {times['empty']}", ratio(times["run.py"], times["empty"])[1]
        ),
        Measurement(
            f"what a run imports: {times['run']}",
            f"{IMPORTS['libraries']}: {times['libraries']}",
            imported[1],
            "at most 1.12 x",
            imported[0] <= 1.12,
        ),
    ]


def _in_turn(commands: dict[str, list[str]], rounds: int) -> dict[str, Times]:
    """Processor seconds of each command of Python's, after a round that warms the disk up and compiles modules."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, arguments in commands.items():
            seconds[name].append(_processor_seconds(arguments))
    return {name: Times(tuple(values[1:])) for name, values in seconds.items()}


def _bare_app(folder: Path, conf: Path | None) -> Path:
    """An app in its own folder, with a copy of conf/ without what only this suite's code provides."""
    folder.mkdir()
    if conf is None:
        (folder / "conf").mkdir()
        (folder / "conf/config.yaml").write_text("key: 1\n")
    else:
        shutil.copytree(conf, folder / "conf")
        config = folder / "conf/config.yaml"
        config.write_text(OURS_ALONE.sub("", config.read_text()))
    (folder / "app.py").write_text(APP)
    return folder / "app.py"


def _processor_seconds(arguments: list[str]) -> float:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
