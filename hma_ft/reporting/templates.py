"""Pages and model cards by jinja2. What is filled in is escaped: a class named `<script>` stays text."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2


def render(path: Path, filters: Mapping[str, Callable[..., str]] | None = None, **values: Any) -> str:
    """The text of a template, a file NAME.KIND.j2; LaTeX and Markdown tables bring filters that escape.

    A value that is missing raises jinja2.UndefinedError.
    """
    kind = path.suffixes[-2]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(path.parent),
        autoescape=kind != ".tex",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    if kind == ".tex":  # braces mean something to LaTeX
        environment = environment.overlay("<%", "%>", "<<", ">>", "<#", "#>")
    environment.filters |= filters or {}
    return environment.get_template(path.name).render(values)
