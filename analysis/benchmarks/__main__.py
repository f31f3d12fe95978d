"""All benchmarks: one table, with the machine, into docs/BENCHMARKS.md.

python -m analysis.benchmarks [--quick] [--out FILE]

Needs the folder with real images and weights (HMA_SHARED) for the input pipeline and the sweep; without it they are
skipped. With --quick the sizes are small, the numbers mean nothing, and nothing is written unless --out says where.
"""

import argparse
import importlib
import sys
import time

from analysis.arguments import exit_code, require_file
from analysis.benchmarks.machine import description
from analysis.benchmarks.measurement import REPOSITORY, Measurement, options, table
from hma_ft.config.paths import path_argument

NAMES = ("startup", "head", "memory", "neighbours", "input_pipeline", "methods", "checkpoints", "sweep")
TEXT = """\
# Speed

For whoever asks what it costs. Written by `make bench`. Every speed is a ratio between alternatives that were measured
in turn in one run on one machine; given is the median of the ratios of the rounds, in brackets their range and number.
`python -m analysis.benchmarks.NAME` measures one part: {names}. `python -m analysis.benchmarks.gpu` is for a
machine with a GPU.

{machine}
- duration: {minutes:.0f} minutes

{table}
"""


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
    page = TEXT.format(
        names=", ".join(NAMES), machine=machine, minutes=(time.monotonic() - started) / 60, table=table(measurements)
    )
    print(page)
    out = chosen.out or (None if chosen.quick else REPOSITORY / "docs/BENCHMARKS.md")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page)
    return int(failed)


if __name__ == "__main__":
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
