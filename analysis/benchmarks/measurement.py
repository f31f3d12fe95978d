"""What a benchmark says: numbers against named alternatives, each with its target if there is one."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measurement:
    """One row of the table."""

    what: str  # the same on every machine up to the first colon; behind it what this one took
    against: str  # the alternative, with a colon as above
    value: str  # median, with the spread
    target: str = ""  # empty: for information
    holds: bool | None = None  # None: no target, or not measured


@dataclass(frozen=True)
class Options:
    """How a benchmark is run."""

    quick: bool  # small sizes, to try the script out; the numbers mean nothing
    shared: Path | None  # the folder with real images and pretrained weights; None: absent

    def size(self, full: int, quick: int) -> int:
        """A size, or its small stand-in."""
        return quick if self.quick else full


VERDICTS = {True: "yes", False: "**no**", None: ""}
Benchmark = Callable[[Options], list[Measurement]]


def options(arguments: Sequence[str] | None = None, description: str | None = None) -> Options:
    """The command line of every benchmark: `--quick`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script out")
    shared = Path(os.environ.get("HMA_SHARED", REPOSITORY.parent / "shared"))
    return Options(parser.parse_args(arguments).quick, shared if (shared / "data").is_dir() else None)


def main(benchmark: Benchmark, description: str | None) -> int:
    """Run one benchmark and print its table."""
    print(table(benchmark(options(description=description))))
    return 0


def skipped(what: str) -> Measurement:
    """A row for what needs the shared folder, where that is absent."""
    return Measurement(what, "", "skipped: needs real images and weights (set HMA_SHARED)")


def table(measurements: Sequence[Measurement]) -> str:
    """Markdown."""
    lines = ["| what | against | measured | target | holds |", "|---|---|---|---|---|"]
    lines += [f"| {m.what} | {m.against} | {m.value} | {m.target} | {VERDICTS[m.holds]} |" for m in measurements]
    return "\n".join(lines)
