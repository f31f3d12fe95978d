"""The hint at the end of a line about an unknown name."""

from collections.abc import Sequence

_LISTED = 12  # settings of a group that a line may name


def nearest(word: str, known: Sequence[str]) -> str:
    """`; did you mean X?` with the key in a group that ends in the word, or with a similar name; empty if none is."""
    known = [key for key in known if not word.startswith(f"{key}.")]
    found = _in_another_group(word, known) or _similar(word, known)
    return f"; did you mean {found[0]}?" if found else ""


def nearest_setting(key: str, known: Sequence[str]) -> str:
    """The hint about a dotted key: a similar name in its group, its name in another, or what the group has."""
    group, _, name = key.rpartition(".")
    if group not in known:
        return nearest(key, known)
    names = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == group]
    similar = [f"{group}.{other}" for other in _similar(name, names)] or _in_another_group(name, known)
    if similar:
        return f"; did you mean {similar[0]}?"
    if len(names) > _LISTED:
        return nearest(key, known)
    return f"; {group} has {', '.join(names)}" if names else f"; {group} is empty here"


def _in_another_group(name: str, known: Sequence[str]) -> list[str]:
    return sorted((key for key in known if key.endswith(f".{name}")), key=lambda key: key.count("."))


def _similar(name: str, known: Sequence[str]) -> list[str]:
    import difflib  # which costs every start, and helps those with a mistake

    return difflib.get_close_matches(name, known, n=1, cutoff=0.5)
