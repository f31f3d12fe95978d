"""Lists of `path label` lines. The label is the last field: names of files may hold blanks."""

from hma_ft.data.lists.rows import ReadList, Row


def read_text(found: ReadList, lines: list[str]) -> None:
    """Add a row for every line that is not empty; fields are divided by a tab, if there is one, else by blanks."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        path, tab, label = text.rpartition("\t")
        if not tab:
            path, *rest = text.rsplit(maxsplit=1)
            label = rest[0] if rest else ""
        if path.strip() and label.strip():
            found.rows.append(Row(found.place(number), path.strip(), label.strip()))
        else:
            found.problems.append(f"{found.place(number)}: {text!r} must be a path and a label")
