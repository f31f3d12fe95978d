"""Mean ranks over data sets, with the difference that Nemenyi's test asks for (Demsar, JMLR 2006, figure 1)."""

from typing import TYPE_CHECKING

from analysis.compare.comparison import Comparison
from analysis.compare.plots.style import GREY, cut, new_figure, style_of, tidy
from analysis.compare.statistics.over_datasets import critical_difference
from analysis.compare.tables.overview import aggregate_table
from analysis.compare.tables.table import raw_records

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def ranks_figure(comparison: Comparison) -> "Figure | None":
    """Groups by mean rank, each with its bootstrap interval; a bar joins those that do not differ significantly.

    None for fewer than three groups or two data sets.
    """
    table, _ = aggregate_table(comparison)
    rows = sorted(raw_records(table.rows), key=lambda row: row["rank"])
    if len(rows) < 3:
        return None
    needed = critical_difference(len(rows), rows[0]["datasets"], comparison.level)
    bars = cliques([row["rank"] for row in rows], needed)
    figure = new_figure(7.5, 0.34 * len(rows) + 1.4 + 0.16 * len(bars))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        style = style_of(comparison.labels.index(row["group"]))
        reach = [[row["rank"] - row["rank_low"]], [row["rank_high"] - row["rank"]]]
        axes.errorbar(
            [row["rank"]], [place], xerr=reach, color=style.colour, marker=style.marker, markersize=8, capsize=3
        )
    for number, (first, last) in enumerate(bars):
        height = len(rows) - 0.2 + 0.45 * number
        axes.plot([rows[first]["rank"], rows[last]["rank"]], [height, height], color=GREY, linewidth=4)
    axes.set_yticks(range(len(rows)), [cut(row["group"]) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.2 + 0.45 * len(bars), -0.6)
    axes.set_xlim(0.8, len(rows) + 0.2)
    axes.set_xlabel(f"mean rank over {rows[0]['datasets']} data sets (1 is best); critical difference {needed:.2f}")
    tidy(axes, grid="x")
    return figure


def cliques(ranks: list[float], needed: float) -> list[tuple[int, int]]:
    """The largest runs of sorted `ranks` whose ends differ by less than `needed`: first and last place of each."""
    found: list[tuple[int, int]] = []
    for first, rank in enumerate(ranks):
        last = max(place for place, other in enumerate(ranks) if other - rank < needed)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
