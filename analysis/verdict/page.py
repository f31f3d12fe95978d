"""The page of a comparison, opened by what its reader came for."""

from collections.abc import Sequence
from html import escape

_AFTER = "</h1>"


def with_sentences(page: str, title: str, sentences: Sequence[str], notes: Sequence[str]) -> str:
    """The page with the sentences below its headline, and how each method was chosen behind a fold."""
    head, found, rest = page.partition(_AFTER)
    if not found:
        raise ValueError("the page of analysis.compare has no headline")
    said = "".join(f"<p><strong>{escape(sentence)}</strong></p>" for sentence in sentences)
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    chosen = f"<details><summary>How the settings were chosen</summary><ul>{listed}</ul></details>" if notes else ""
    return f'{head}{found}\n<section id="answer"><h2>{escape(title)}</h2>{said}{chosen}</section>\n{rest}'
