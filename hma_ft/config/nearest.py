"""The hint at the end of a line about an unknown name."""

from collections.abc import Sequence


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?` with the key in a group that ends in the word, or with a similar name; empty if none is."""
    known = [key for key in known if not word.startswith(f"{key}.")]
    import difflib  # which costs every start, and helps those with a mistake

    same_end = sorted((key for key in known if key.endswith(f".{word}")), key=lambda key: key.count("."))
    found = same_end or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else ""
