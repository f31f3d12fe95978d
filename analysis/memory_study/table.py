"""Tables of the memory study: means over splits, and paired differences with 95 % t-intervals."""

import math
from collections.abc import Sequence

import numpy as np

Rows = Sequence[dict[str, float | str]]


def table(rows: Rows, references: Sequence[str]) -> str:
    """Markdown: an attempt a line, its accuracy on each data set, and the difference from each reference.

    The difference is that of the mean over the data sets, paired by seed; the interval is over seeds.
    """
    sets = list(dict.fromkeys(str(row["set"]) for row in rows))
    accuracies = _accuracies(rows)
    names = list(dict.fromkeys(str(row["attempt"]) for row in rows))
    lines = [
        "| attempt | " + " | ".join(sets) + " | " + " | ".join(f"less {name}" for name in references) + " |",
        "|---|" + "---:|" * (len(sets) + len(references)),
    ]
    for name in names:
        cells = [f"{accuracies[name][s].mean():.2f}" if s in accuracies[name] else "" for s in sets]
        for reference in references:
            complete = all(s in accuracies[name] for s in sets) and name != reference
            cells.append(difference([accuracies[name][s] - accuracies[reference][s] for s in sets]) if complete else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paired(rows: Rows, name: str, references: Sequence[str]) -> str:
    """Markdown: a data set a line, and the mean over them: how much better `name` is than each reference."""
    accuracies = _accuracies(rows)
    lines = [
        f"| {name} less | " + " | ".join(references) + " |",
        "|---|" + "---:|" * len(references),
    ]
    for data_set, own in accuracies[name].items():
        cells = [difference([own - accuracies[reference][data_set]]) for reference in references]
        lines.append(f"| {data_set} | " + " | ".join(cells) + " |")
    every = [[own - accuracies[r][s] for s, own in accuracies[name].items()] for r in references]
    return "\n".join([*lines, "| mean | " + " | ".join(map(difference, every)) + " |"])


def difference(differences: Sequence[np.ndarray]) -> str:
    """Mean of paired differences and half a 95 % t-interval over seeds; arrays [seeds], one a data set."""
    from scipy.stats import t

    seeds = min(map(len, differences))
    values = np.stack([array[:seeds] for array in differences]).mean(0)
    if seeds < 2:
        return f"{values.mean():+.2f}"
    half = t.ppf(0.975, seeds - 1) * values.std(ddof=1) / math.sqrt(seeds)
    return f"{values.mean():+.2f} ± {half:.2f}"


def _accuracies(rows: Rows) -> dict[str, dict[str, np.ndarray]]:
    """By attempt and data set the test accuracies [seeds], in the order of the seeds."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        of_attempt = found.setdefault(str(row["attempt"]), {})
        of_attempt.setdefault(str(row["set"]), []).append((float(row["seed"]), float(row["test"])))
    return {
        name: {data_set: np.array([test for _, test in sorted(pairs)]) for data_set, pairs in sets.items()}
        for name, sets in found.items()
    }
