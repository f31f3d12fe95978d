"""The page of a comparison, opened by what its reader came for: two sentences, one table, one figure."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from hma_ft.launch.verdict import Verdict

_AFTER = "</h1>"
_HEAD = ("data set", "method", "chosen on val", "seeds", "test {metric} %", "95 %", "against {baseline}", "95 %")
_LAST = ("verdict", "from nothing, s")
_WORDS = (0, 1, 2, 8)  # columns of text


def with_answer(page: str, verdict: Verdict, notes: Sequence[str], figure: Path) -> str:
    """The page with the answer below its headline, and how each method was chosen behind a fold.

    `figure`: the PNG of accuracies, where there is one.
    """
    head, found, rest = page.partition(_AFTER)
    if not found:
        raise ValueError("the page of analysis.compare has no headline")
    said = "".join(f"<p><strong>{escape(sentence)}</strong></p>" for sentence in verdict.sentences)
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    chosen = f"<details><summary>How the settings were chosen</summary><ul>{listed}</ul></details>" if notes else ""
    shown = "".join([said, _table(verdict), _figure(figure), chosen])
    return f'{head}{found}\n<section id="answer">{shown}</section>\n{rest}'


def _table(verdict: Verdict) -> str:
    titles = [text.format(metric=verdict.metric, baseline=verdict.baseline) for text in (*_HEAD, *_LAST)]
    head = "".join(f"<th{_kind(i)}>{escape(title)}</th>" for i, title in enumerate(titles))
    lines = [[f"<td{_kind(i)}>{escape(cell)}</td>" for i, cell in enumerate(_cells(row))] for row in verdict.rows]
    body = "\n".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(column: int) -> str:
    return "" if column in _WORDS else ' class="number"'


def _cells(row: dict[str, Any]) -> list[str]:
    cost = row["from_nothing_s"]
    return [
        row["dataset"],
        row["group"],
        row["chosen"],
        str(row["seeds"]),
        _percent(row["mean"]),
        _interval(row["low"], row["high"]),
        _percent(row["difference"], sign=True),
        _interval(row["difference_low"], row["difference_high"], sign=True),
        row["verdict"],
        "" if cost is None else f"{cost:,.1f}",
    ]


def _percent(value: float | None, *, sign: bool = False) -> str:
    return "" if value is None else f"{100 * value:{'+' if sign else ''}.2f}"


def _interval(low: float | None, high: float | None, *, sign: bool = False) -> str:
    ends = _percent(low, sign=sign), _percent(high, sign=sign)
    return " to ".join(ends) if all(ends) else ""


def _figure(path: Path) -> str:
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<figure><img alt="Accuracy of each method" src="data:image/png;base64,{data}"></figure>'
