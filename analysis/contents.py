"""Table of contents of a page of docs/, made from its headings."""

import re

SCREENS = 100  # lines of two screens: a longer page has a table of contents
_TITLE = "## Contents"


def with_contents(text: str) -> str:
    """Return a Markdown page with a list of its sections before the first of them, in place of the list it had."""
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    sections = [section for section in sections if not section.startswith(_TITLE)]
    titles = [section.partition("\n")[0].removeprefix("## ") for section in sections]
    listed = "\n".join(f"- [{title}](#{anchor(title)})" for title in titles)
    return "".join([head, f"{_TITLE}\n\n{listed}\n\n", *sections])


def anchor(title: str) -> str:
    """Return the name that GitHub gives a heading: lower case, without punctuation, hyphens for blanks."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
