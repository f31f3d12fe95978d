"""The commands of the tutorial, and what a terminal shows of them."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_COLUMNS = "110"  # of the terminal
_STAGE = "stage "  # of a sweep: one line of each is enough

FOLDER, NEW = "my_images", "new_images"
SMALL = ("model=vit_micro", "augment=digits", "trainer.max_steps=100")
METHODS, SEEDS = "head,knn,logreg,hma_head", range(8)


@dataclass(frozen=True)
class Size:
    """How much the tutorial does."""

    per_class: int = 50
    methods: str = METHODS
    seeds: Sequence[int] = SEEDS
    steps: Sequence[str] = SMALL

    @property
    def sweep(self) -> list[str]:
        """The command that ends in the verdict."""
        data = ["dataset=folder", f"dataset.root={FOLDER}"]
        axes = [f"method={self.methods}", f"seed={','.join(map(str, self.seeds))}"]
        return ["run.py", "-m", "sweep=verdict_quick", *data, *self.steps, *axes, "hydra.launcher.n_jobs=2"]


class Shell:
    """Runs commands of the repository in a folder, as a person would from a checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []

    def run(self, *arguments: str) -> str:
        """Return the command and its output, as a terminal shows them. Raises RuntimeError if it fails."""
        self.commands.append(shlex.join(["python", *arguments]))
        program = [str(REPOSITORY / arguments[0]), *arguments[1:]] if arguments[0] == "run.py" else [*arguments]
        environment = os.environ | {"COLUMNS": _COLUMNS, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *program], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.commands[-1]}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        output = done.stdout.replace(str(self.folder) + "/", "").replace(str(self.folder), ".")
        return "\n".join(["$ " + _broken(self.commands[-1]), *_shortened(output.splitlines())])

    def show(self, file: Path, lines: int) -> str:
        """Return the first lines of a file, as `head` shows them."""
        text = (self.folder / file).read_text().splitlines()[:lines]
        return "\n".join([f"$ head -{lines} {file}", *text])


def chosen_run(folder: Path, method: str) -> Path:
    """The run of a method at what val chose, with the first seed of the comparison; relative to the folder."""
    (sweep,) = folder.glob("runs/sweeps/*/sweep.json")
    trials = json.loads(sweep.read_text())["trials"]
    mine = [t for t in trials if t["stage"] == "seeds" and t["candidate"] == f"method={method}"]
    return Path(min(mine, key=lambda trial: int(trial["seed"]))["directory"]).relative_to(folder)


def _broken(command: str) -> str:
    """The command over several lines, where it is longer than one."""
    lines = [""]
    for word in command.split():
        if len(lines[-1]) + len(word) > int(_COLUMNS) - 4:
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else word
    return " \\\n".join(lines)


def _shortened(lines: Sequence[str]) -> Iterator[str]:
    """The lines without all but the first of each stage's progress, without blanks at their ends."""
    seen = ""
    for line in lines:
        stage = line.partition(":")[0] if line.startswith(_STAGE) else ""
        if not stage or stage != seen:
            yield line.rstrip()
        seen = stage or seen
