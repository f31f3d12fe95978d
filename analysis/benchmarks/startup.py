"""How long `run.py --cfg job` takes beside a bare Hydra app.

python -m analysis.benchmarks.startup [--quick]

The bare app composes the same files of conf/ and does nothing else; a second one has a single key. Times are those of
the processor (user and system), so that a busy disk does not count.
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


def measure(options: Options) -> list[Measurement]:
    """Both comparisons."""
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            "run.py": REPOSITORY / "run.py",
            "same": _bare_app(Path(folder) / "same", REPOSITORY / "conf"),
            "empty": _bare_app(Path(folder) / "empty", None),
        }
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(options.size(9, 2) + 1):
            for name, program in programs.items():
                seconds[name].append(_processor_seconds(program))
    times = {name: Times(tuple(values[1:])) for name, values in seconds.items()}  # the first one warms the disk up
    factor, text = ratio(times["run.py"], times["same"])
    what = f"run.py --cfg job: {times['run.py']}"
    return [
        Measurement(
            what, f"a bare Hydra app with the same conf/: {times['same']}", text, "at most 1.2 x", factor <= 1.2
        ),
        Measurement(
            what, f"a bare Hydra app with one key: {times['empty']}", ratio(times["run.py"], times["empty"])[1]
        ),
    ]


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


def _processor_seconds(program: Path) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, str(program), "--cfg", "job"],
        cwd=program.parent,
        env=os.environ,
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    sys.exit(main(measure, __doc__))
