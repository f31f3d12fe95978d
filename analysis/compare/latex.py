"""Tables as LaTeX, for the package booktabs."""

import re

from analysis.compare.report import Report
from analysis.compare.table import Table

_NAMES = ("summary", "verdict", "paired", "images", "modes", "cost", "aggregate", "grid")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "…": r"\dots{}",
}


def latex(report: Report) -> str:
    r"""All tables as floats; needs \usepackage{booktabs,graphicx}."""
    # a newline in the command would end the comment
    head = "% " + " ".join(report.command.split()) + "\n% \\usepackage{booktabs,graphicx}\n"
    comments = "".join(f"% {' '.join(statement.split())}\n" for statement in report.statements)
    tables = [latex_table(table) for table in report.tables if table.name in _NAMES]
    return head + comments + "\n" + "\n".join(tables)


def latex_table(table: Table) -> str:
    """One float, shrunk to the width of the text where it is wider."""
    layout = "".join("r" if column.right else "l" for column in table.columns)
    head = " & ".join(escape(column.title) for column in table.columns)
    body = "\n".join(" & ".join(escape_number(cell) for cell in line) + r" \\" for line in table.cells)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(table.title)}. {escape(table.note)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def escape_number(text: str) -> str:
    """The same, with a real minus before numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", r"$-$", escape(text))
