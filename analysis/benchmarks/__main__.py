"""All benchmarks: one table, a column a machine, into docs/BENCHMARKS.md.

python -m analysis.benchmarks [--quick] [--out FILE]

What this machine measured goes to docs/benchmarks/, from which the page is made; with --out the page is of this
machine alone.

Needs the folder with real images and weights (HMA_SHARED) for the input pipeline and the sweep; without it they are
skipped. With --quick the sizes are small, the numbers mean nothing, and nothing is written unless --out says where.
"""

import argparse
import importlib
import sys
import time

from analysis.arguments import exit_code, require_file
from analysis.benchmarks.machine import description, processor
from analysis.benchmarks.measurement import REPOSITORY, Measurement, options
from analysis.benchmarks.page import Machine, notes_of, page, saved_machines
from hma_ft.config.paths import path_argument

NAMES = ("startup", "head", "memory", "neighbours", "input_pipeline", "methods", "checkpoints", "recipe", "sweep")


def main(arguments: list[str]) -> int:
    """Measure, print, write. Exit code 1 if a benchmark could not be run."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the scripts out")
    parser.add_argument(
        "--out", type=path_argument, help="where the page is written; docs/BENCHMARKS.md unless --quick"
    )
    chosen = parser.parse_args(arguments)
    if chosen.out is not None:
        require_file("--out", chosen.out)
    machine, started = description(), time.monotonic()
    measurements: list[Measurement] = []
    failed = False
    for name in NAMES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            measure = importlib.import_module(f"analysis.benchmarks.{name}").measure
            measurements += measure(options(["--quick"] if chosen.quick else []))
        except Exception as error:  # the others are still worth measuring
            measurements.append(Measurement(name, "", f"failed: {error}".splitlines()[0], "", False))
            print(error, file=sys.stderr)
            failed = True
    machine += f"\n- duration: {(time.monotonic() - started) / 60:.0f} minutes"
    here = Machine(processor(), machine, measurements)
    out = chosen.out
    text = page([here], NAMES)
    if out is None and not chosen.quick:
        out, folder = REPOSITORY / "docs/BENCHMARKS.md", REPOSITORY / "docs/benchmarks"
        here.save(folder)
        text = page(saved_machines(folder), NAMES, notes_of(folder))
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    return int(failed)


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
