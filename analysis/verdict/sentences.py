"""Two sentences for the reader: what is better than the baseline, and what of the rest can be said."""

from collections.abc import Sequence
from typing import Any

from analysis.compare.tables.image_groups import unit

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
    """With a capital, unless it begins with the name of a method."""
    begins_plainly = not where and text.startswith(("no ", "nothing ", "the "))
    return f"{where}{text[0].upper() if begins_plainly else text[0]}{text[1:]}."


def _better(compared: dict[str, Any], rows: Sequence[Row]) -> str:
    """`lora is better than head by 2.1 points (0.9 to 3.3), hma_lora by 1.5 (0.3 to 2.7)`."""
    better = _ordered(compared, [row for row in rows if row["significant"] and _gain(compared, row) > 0])
    baseline = compared["baseline"]
    if not any(row["can_decide"] for row in rows):
        return f"no method can be judged against {baseline} yet"
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
    parts += _too_few(compared, weak)
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
        return f" (needs {row['images_needed']:,} {unit(row)} to decide)"
    if row["both_needed"] is not None:
        both = row["both_needed"]
        return f" (needs {both['seeds']:,} seeds and {both['images']:,} {unit(row)} to decide)"
    return ""


def _too_few(compared: dict[str, Any], rows: Sequence[Row]) -> list[str]:
    """`3 seeds are too few to judge lora (+2.1 so far), which takes at least 7`."""
    found = []
    for seeds, least in sorted({(row["seeds"], row["least_seeds"]) for row in rows}):
        mine = [row for row in rows if (row["seeds"], row["least_seeds"]) == (seeds, least)]
        named = _listed([f"{row['group']} ({_so_far(compared, row)} so far)" for row in mine])
        few = "seed is" if seeds == 1 else "seeds are"
        if seeds < least:
            found.append(f"{seeds} {few} too few to judge {named}, which takes at least {least}")
        else:
            found.append(f"the {unit(mine[0])} that tell {named} apart are too few to judge")
    return found


def _so_far(compared: dict[str, Any], row: Row) -> str:
    gain = _gain(compared, row)
    return f"{'+' if gain >= 0 else '-'}{_number(compared, abs(gain))}"


def _is(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
