"""The command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from analysis.compare.metric import METRICS
from hma_ft.config.paths import path_argument, user_path

_EXAMPLES = """\
examples:
  python -m analysis.compare --sweep demo --baseline head
  python -m analysis.compare --dataset dtd --method head_cls hma_head_cls hma --baseline head_cls --html report.html
  python -m analysis.compare --sweep learning_rate --out comparison         # each method at the rate that val chose
  python -m analysis.compare --sweep memory_size --by method.hma.real.size,method.hma.synthetic.slots --out memory
  python -m analysis.compare --where optimizer.lr=0.01,0.003 --where trainer.max_steps=1000
  python -m analysis.compare --mlflow sqlite:///runs/mlflow.db --sweep demo --inference batch

What each number means and when runs are refused: docs/COMPARE.md. Exit code: 0, or 2 for what the user can mend.
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options; exits with code 2 and a line for one that does not exist."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.compare",
        usage="%(prog)s [options]",
        description="Compare groups of runs: accuracy over seeds with intervals, cost, paired tests, figures.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _source(parser.add_argument_group("where the runs are"))
    _choice(parser.add_argument_group("which runs"))
    _view(parser.add_argument_group("what is compared"))
    output = parser.add_argument_group("output, beside the tables in the terminal")
    output.add_argument(
        "--out", type=path_argument, metavar="DIR", help="Markdown, CSV, LaTeX, JSON, and figures (PNG, PDF)"
    )
    output.add_argument("--no-figures", action="store_true", help="tables only, in seconds")
    output.add_argument(
        "--html", type=path_argument, metavar="FILE", help="one page with everything, that needs no other file"
    )
    return parser.parse_args(arguments)


def _source(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--runs",
        type=path_argument,
        nargs="+",
        default=[Path("runs")],
        metavar="DIR",
        help="folders of runs (default: runs)",
    )
    group.add_argument(
        "--mlflow", type=user_path, metavar="URI", help="read MLflow instead, such as sqlite:///runs/mlflow.db"
    )
    group.add_argument(
        "--experiment", nargs="+", default=[], metavar="NAME", help="experiments of MLflow (default: all)"
    )


def _choice(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--sweep",
        nargs="+",
        default=[],
        metavar="NAME",
        help="the trials of a sweep, the latest of that name, or of several",
    )
    group.add_argument("--dataset", nargs="+", default=[], metavar="NAME", help="data sets")
    group.add_argument("--method", nargs="+", default=[], metavar="NAME", help="methods")
    group.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE[,VALUE]",
        help="runs with one of these values of a setting; may be repeated",
    )


def _view(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--by", type=_keys, default=["method"], metavar="KEY[,KEY]", help="settings that group (default: method)"
    )
    group.add_argument("--baseline", metavar="GROUP", help="test all other groups against this one")
    group.add_argument(
        "--tune",
        type=_keys,
        default=["optimizer.lr"],
        metavar="KEY[,KEY]",
        help="settings whose value val chooses in each group (default: optimizer.lr)",
    )
    group.add_argument("--metric", choices=list(METRICS), default="top1", help="default: top1")
    group.add_argument(
        "--inference",
        choices=["alone", "batch", "support"],
        help="inference mode of the metrics (default: the headline mode of each run)",
    )
    group.add_argument("--level", type=_level, default=0.95, help="of intervals; 1 - level is that of tests")
    group.add_argument("--force", action="store_true", help="go on where runs differ in what should be equal")


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]


def _level(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie between 0.5 and 1")
    return value
