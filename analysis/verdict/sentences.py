"""Two sentences for the reader: what is better than the baseline, and what of the rest can be said."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def sentences_of(compared: dict[str, Any], rows: Sequence[Row]) -> list[str]:
    """Two sentences a data set. `rows`: of the verdict table, `compared`: all of the JSON."""
    found = []
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    for dataset in datasets:
        mine = [row for row in rows if row["dataset"] == dataset and row["difference"] is not None]
        where = f"On {dataset}, " if len(datasets) > 1 else ""
        found += [_sentence(where, text) for text in (_better(compared, mine), _rest(compared, mine)) if text]
    return found


def _sentence(where: str, text: str) -> str:
    return f"{where}{text}." if where else f"{text[0].upper() if text.startswith('nothing') else text[0]}{text[1:]}."


def _better(compared: dict[str, Any], rows: Sequence[Row]) -> str:
    """`lora is better than head by 2.1 points (0.9 to 3.3), hma_lora by 1.5 (0.3 to 2.7)`."""
    better = _ordered(compared, [row for row in rows if row["significant"] and _gain(compared, row) > 0])
    baseline = compared["baseline"]
    if not better:
        return f"nothing is significantly better than {baseline}"
    unit = " points" if compared["metric"] != "nll" else ""
    first = f"{better[0]['group']} is better than {baseline} by {_by(compared, better[0], unit)}"
    return ", ".join([first, *(f"{row['group']} by {_by(compared, row)}" for row in better[1:])])


def _rest(compared: dict[str, Any], rows: Sequence[Row]) -> str:
    """`hma_head is not significantly different (needs 14 seeds to decide); ncm is worse by 5.1 points (4.0 to 6.2)`."""
    rows = _ordered(compared, rows)
    worse = [row for row in rows if row["significant"] and _gain(compared, row) < 0]
    open_ones = [row for row in rows if not row["significant"] and row["can_decide"]]
    weak = [row for row in rows if not row["can_decide"]]
    parts = []
    if open_ones:
        named = _listed([f"{row['group']}{_needs(row)}" for row in open_ones])
        parts.append(f"{named} {_is(open_ones)} not significantly different")
    if weak:
        named = _listed([f"{row['group']} ({_lacks(compared, row)})" for row in weak])
        parts.append(f"of {named} nothing can be said yet")
    if worse:
        unit = " points" if compared["metric"] != "nll" else ""
        parts.append(
            f"{_listed([row['group'] for row in worse])} {_is(worse)} worse, by {_range(compared, worse)}{unit}"
        )
    return "; ".join(parts)


def _ordered(compared: dict[str, Any], rows: Sequence[Row]) -> list[Row]:
    """From the largest gain to the largest loss."""
    return sorted(rows, key=lambda row: -_gain(compared, row))


def _gain(compared: dict[str, Any], row: Row) -> float:
    return float(row["difference"]) if compared["higher_is_better"] else -float(row["difference"])


def _by(compared: dict[str, Any], row: Row, unit: str = "") -> str:
    """How much, as a positive number, with its interval."""
    ends = [row["low"], row["high"]] if compared["higher_is_better"] else [-row["high"], -row["low"]]
    low, high = (_number(compared, end) for end in ends)
    return f"{_number(compared, _gain(compared, row))}{unit} ({low} to {high})"


def _range(compared: dict[str, Any], rows: Sequence[Row]) -> str:
    sizes = [_number(compared, -_gain(compared, row)) for row in rows]
    return sizes[0] if len(set(sizes)) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _number(compared: dict[str, Any], value: float) -> str:
    return f"{value:.3f}" if compared["metric"] == "nll" else f"{100 * value:.1f}"


def _needs(row: Row) -> str:
    """What would decide, if differences and variances stay as they are."""
    if row["seeds_needed"] is not None:
        return f" (needs {row['seeds_needed']:,} seeds to decide)"
    if row["images_needed"] is not None:
        return f" (needs {row['images_needed']:,} test images to decide)"
    if row["both_needed"] is not None:
        both = row["both_needed"]
        return f" (needs {both['seeds']:,} seeds and {both['images']:,} test images to decide)"
    return ""


def _lacks(compared: dict[str, Any], row: Row) -> str:
    """The difference so far, and the least that a verdict takes."""
    so_far = f"{'+' if _gain(compared, row) >= 0 else '-'}{_number(compared, abs(_gain(compared, row)))}"
    if row["seeds"] < row["least_seeds"]:
        return f"{so_far}, {row['seeds']} of at least {row['least_seeds']} seeds"
    return f"{so_far}, needs {row['least_images']:,} test images"


def _is(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
