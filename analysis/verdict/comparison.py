"""From the JSON of `python -m analysis.compare` to a verdict."""

from collections.abc import Collection, Mapping
from typing import Any

from analysis.verdict.sentences import sentences_of
from hma_ft.launch.verdict import Verdict

_MEANING = {"t_low": "low", "t_high": "high", "n": "seeds"}


def verdict_of(compared: dict[str, Any], tuned: Mapping[str, Collection[str]]) -> Verdict:
    """The rows of all methods, the baseline first, then from the best to the worst of each data set.

    `tuned`: by method, the settings that val chose for it.
    """
    tables = compared["tables"]
    differences = {(row["dataset"], row["group"]): row for row in _rows(tables, "verdict")}
    costs = {(row["dataset"], row["group"]): row for row in _rows(tables, "cost")}
    rows = []
    for summary in _rows(tables, "summary"):
        place = summary["dataset"], summary["group"]
        row = {key: summary[key] for key in ("dataset", "group", "mean")}
        row |= {name: summary.get(key) for key, name in _MEANING.items()}
        keys = tuned.get(summary["group"].split(" ")[0], ())
        chosen = {key: value for key, value in summary["chosen"].items() if key in keys}
        row["chosen"] = ", ".join(f"{key.split('.')[-1]} {value}" for key, value in chosen.items())
        row["from_nothing_s"] = costs.get(place, {}).get("from_nothing_s")
        rows.append(row | _against(differences.get(place, {})))
    sign = -1 if compared["higher_is_better"] else 1
    rows.sort(key=lambda row: (row["dataset"], row["group"] != compared["baseline"], sign * (row["mean"] or 0.0)))
    return Verdict(
        sentences=sentences_of(compared, list(differences.values())),
        rows=rows,
        metric=compared["metric"].replace("top1", "top-1"),
        baseline=compared["baseline"],
        warnings=[line for line in compared["notes"] if line.startswith("NOT COMPARABLE")],
    )


def _rows(tables: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Tables without rows are left out of the JSON."""
    return list(tables[name]["rows"]) if name in tables else []


def _against(row: dict[str, Any]) -> dict[str, Any]:
    """What the baseline hasn't."""
    return {
        "difference": row.get("difference"),
        "difference_low": row.get("low"),
        "difference_high": row.get("high"),
        "verdict": row.get("verdict", ""),
        "significant": row.get("significant"),
    }
