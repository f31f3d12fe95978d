"""Makes docs/TUTORIAL.md and its pictures: runs each of its commands and puts down what it prints.

python -m analysis.tutorial [--quick] [--out FILE] [--folder DIR]

With --quick there are fewer images, methods and seeds, and the figures mean nothing.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jinja2

from analysis.arguments import exit_code
from analysis.contents import with_contents
from analysis.tutorial.commands import FOLDER, NEW, REPOSITORY, SMALL, Shell, Size, chosen_run
from hma_ft.config.paths import path_argument
from hma_ft.errors import UserError

PICTURES = "tutorial"  # the folder beside the page
_QUICK = Size(per_class=20, methods="head,knn,logreg", seeds=range(2), steps=(*SMALL[:2], "trainer.max_steps=10"))
_SETTLED = "logreg"  # the method that the tutorial goes on with


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one line if a command failed."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.tutorial", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the page out")
    parser.add_argument("--out", type=path_argument, default=REPOSITORY / "docs/TUTORIAL.md", metavar="FILE")
    parser.add_argument("--folder", type=path_argument, help="where the commands run, kept (default: a temporary one)")
    chosen = parser.parse_args(arguments)
    if chosen.quick and chosen.out == REPOSITORY / "docs/TUTORIAL.md":
        parser.error("--quick needs --out: its figures are not for the documentation")
    return exit_code(lambda: _make(chosen.out, chosen.folder, _QUICK if chosen.quick else Size()))


def _make(out: Path, folder: Path | None, size: Size) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        place = (folder or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        try:
            page = make_page(place, out.parent / PICTURES, size)
        except RuntimeError as error:
            raise UserError(str(error)) from error
    out.write_text(page, encoding="utf-8")
    print(f"written to {out}")


def make_page(folder: Path, pictures: Path, size: Size) -> str:
    """Run everything in a folder, copy the pictures, return the page. Raises RuntimeError where a command fails."""
    shell = Shell(folder)
    said = {"images": shell.run("-m", "analysis.tutorial.images", FOLDER, NEW, "--per-class", str(size.per_class))}
    data = ["dataset=folder", f"dataset.root={FOLDER}", *size.steps[:2]]
    said["prepare"] = shell.run("run.py", "task=prepare", *data)
    said["verdict"] = shell.run(*size.sweep)
    run = chosen_run(folder, _SETTLED)
    neighbours = chosen_run(folder, "knn")
    said["predict"] = shell.run("run.py", "task=predict", f"run={run}", f"input={NEW}", "coverage=0.9")
    said["predictions"] = shell.show(Path("predictions.csv"), 6)
    said["nearest"] = shell.run(
        "run.py", "task=predict", f"run={neighbours}", f"input={NEW}", "output=nearest.jsonl", "nearest=2"
    )
    said["nearest_line"] = shell.show(Path("nearest.jsonl"), 1)
    said["export"] = shell.run("run.py", "task=export", f"run={run}", "output=exported")
    (sweep,) = (path.parent for path in folder.glob("runs/sweeps/*/report.html"))
    pictures.mkdir(parents=True, exist_ok=True)
    shutil.copy(sweep / "comparison" / "accuracy.png", pictures / "accuracy.png")
    shutil.copy(folder / run / "risk_coverage.png", pictures / "risk_coverage.png")
    blocks = {name: f"```console\n{text}\n```" for name, text in said.items()}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis.tutorial", ""), undefined=jinja2.StrictUndefined, autoescape=False
    )
    text = environment.get_template("page.md.j2").render(**blocks, seeds=len(size.seeds))
    return with_contents(text)


if __name__ == "__main__":
    sys.exit(main())
