"""A list of images, read by what its suffix says that it is."""

from io import StringIO
from pathlib import Path

from hma_ft.data.lists.json_splits import read_json
from hma_ft.data.lists.rows import Columns, ReadList
from hma_ft.data.lists.tables import read_csv, read_json_lines
from hma_ft.data.lists.text_lists import read_text

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*DELIMITERS, *JSON_LINES, ".json", ".txt", ".lst", ".list")  # those that are looked for


def read_list(file: Path, columns: Columns, *, one_split: bool, trains: bool) -> ReadList:
    """Read CSV, TSV, JSON or JSON lines by their suffixes, and anything else as `path label` lines.

    `one_split`: the file is of one split, so that a column of splits is no matter. `trains`: it has training images.
    What can't be read is a problem of one line each, with file and line number.
    """
    found = ReadList(file, trains)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        found.problems.append(f"cannot read the list {file} ({error.strerror})")
        return found
    except UnicodeDecodeError as error:
        line = 1 + file.read_bytes()[: error.start].count(b"\n")
        found.problems.append(f"{found.place(line)}: no UTF-8: save the list in that encoding")
        return found
    suffix, lines = file.suffix.lower(), StringIO(text, newline="").readlines()
    if suffix in DELIMITERS:
        read_csv(found, lines, columns, delimiter=DELIMITERS[suffix], one_split=one_split)
    elif suffix in JSON_LINES:
        read_json_lines(found, lines, columns, one_split=one_split)
    elif suffix == ".json":
        read_json(found, text, columns, one_split=one_split)
    else:
        read_text(found, lines)
    if not found.rows and not found.problems:
        found.problems.append(f"{file} names no images")
    return found
