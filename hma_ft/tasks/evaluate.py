"""`task=evaluate run=DIR`: repeat a finished run's figures from its weights."""

import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hma_ft.assembly import restore
from hma_ft.config.schema import Config
from hma_ft.engine.processes import create_accelerator
from hma_ft.engine.verdict import evaluate_all
from hma_ft.tracking.result import read_result


def evaluate(config: Config) -> int:
    """Evaluate the chosen weights on val and test in every inference mode, beside what the record says.

    Returns 1 if a figure differs by more than 1e-6, else 0.
    """
    directory = Path(config.run or "")
    accelerator = create_accelerator(config.trainer)
    _, parts = restore(config, accelerator)
    recorded = read_result(directory)
    figures: dict[str, float] = {}
    for split, suffix, _, metrics in evaluate_all(parts.evaluator, parts.method, parts.splits):
        figures |= metrics.scalars(f"{split}{suffix}")
    if accelerator.is_main_process:
        _print(figures, recorded)
    return 1 if any(_differs(recorded.get(name), value) for name, value in figures.items()) else 0


def _differs(recorded: float | None, value: float) -> bool:
    return recorded is None or not math.isclose(recorded, value, rel_tol=0.0, abs_tol=1e-6)


def _print(figures: dict[str, float], recorded: dict[str, float]) -> None:
    table = Table("figure", "now", "recorded", "")
    for name, value in figures.items():
        note = "differs" if _differs(recorded.get(name), value) else ""
        table.add_row(name, f"{value:.6f}", f"{recorded.get(name, math.nan):.6f}", note)
    Console().print(table)
