"""README and docs/FINDINGS.md say what the study's pages say: each number is held to section, table, row and column."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

FIGURE = re.compile(r"(?<![\w.])[+-]?\d+\.\d\d(?![\d.])")
Rows = dict[str, dict[str, str]]  # by group: cells by column
Pages = dict[str, dict[str, Rows]]  # by section and table


class Cell(NamedTuple):
    """A place in the study's pages."""

    section: str
    group: str
    column: str = "top-1 %"
    table: str = "Test top-1"


def difference(section: str, group: str, baseline: str = "head", column: str = "difference, points") -> Cell:
    """Difference of a group to the baseline."""
    return Cell(section, group, column, f"Against {baseline}: difference in test top-1")


def rank(group: str) -> Cell:
    """Mean rank over the data sets of the first page."""
    return Cell(OVERALL, group, "mean rank", "Over 5 data sets")


EUROSAT, EUROSAT_CONTROL = "Is it worth it on EuroSAT?", "On EuroSAT, is it the memory or the size?"
DTD, DTD_CONTROL = "Is it worth it on DTD-10?", "On DTD-10, is it the memory or the size?"
WRONG, CIFAR100 = "Is it worth it on CIFAR-10N?", "Is it worth it on CIFAR-100?"
MANY_FLOWERS = "Is it worth it on Flowers-102?"
WRONG_CONTROL, CIFAR100_CONTROL, MANY_FLOWERS_CONTROL = (
    f"On {name}, is it the memory or the size?" for name in ("CIFAR-10N", "CIFAR-100", "Flowers-102")
)
OVERALL = "Is it worth it over all data sets?"
TEXTURES = "Is memory worth it on textures?"
FEW, CORRUPTED = "With {} training images a class?", "On test images corrupted by {}?"
LATER, NEIGHBOURS = "For classes added after training?", "Does a kNN vote pay for classes added after training?"
NOISE, NOISE_CONTROL = "With wrong labels?", "With wrong labels, against the control?"
FLOWERS, FLOWERS_CONTROL = "On flowers?", "On flowers, against the control?"
TOKENS, FINETUNE = "Is it worth training tokens inside the backbone?", "Is it worth training the backbone?"
WHOLE, CIFAR = "Is memory worth it where the whole backbone trains?", "On small photographs?"

README, FINDINGS = "README.md", "docs/FINDINGS.md"
# By page: sentences with a place for each figure, and where it comes from.
CLAIMS: dict[str, list[tuple[str, list[Cell]]]] = {
    README: [
        (
            "(memory head against MLP: {} points)",
            [difference(EUROSAT_CONTROL, "hma_head", "mlp_head")],
        ),
        ("and worse than the MLP ({})", [difference(EUROSAT_CONTROL, "cache", "mlp_head")]),
        ("(CIFAR-100) only the MLP is ({})", [difference(CIFAR100, "mlp_head")]),
        (
            "the memory head is better than the linear one ({}), as the MLP is ({}),",
            [difference(MANY_FLOWERS, name) for name in ("hma_head", "mlp_head")],
        ),
        (
            "of twelve methods ({}) and the cache the next ({}); the linear head has {}, the memory head {}.",
            [rank(name) for name in ("mlp_head", "cache", "head", "hma_head")],
        ),
        (
            "with ten or twenty training images a class ({}, {} points), on test images with noise, blur or JPEG "
            "artefacts ({}, {}, {}) and when two of ten classes are added after training ({}; there "
            "`knn` alone gains more, {}).",
            [
                *(difference(FEW.format(number), "head_knn") for number in (10, 20)),
                *(difference(CORRUPTED.format(kind), "head_knn") for kind in ("noise", "blur", "jpeg")),
                *(difference(NEIGHBOURS, method) for method in ("head_knn", "knn")),
            ],
        ),
    ],
    FINDINGS: [
        (
            "`mlp_head` ({}) and `cache` ({}) are better than `head` ({}); `hma_head` ({}: {}, {}), `head_knn` ({}) "
            "and `kernel_ridge` ({}) are not shown to differ",
            [
                *(Cell(EUROSAT, name) for name in ("mlp_head", "cache", "head", "hma_head")),
                difference(EUROSAT, "hma_head"),
                difference(EUROSAT, "hma_head", column="verdict"),
                *(Cell(EUROSAT, name) for name in ("head_knn", "kernel_ridge")),
            ],
        ),
        (
            "`cache` {}, `kernel_ridge` {}, `hma_head` {}, `head_knn` {}. On DTD-10",
            [
                difference(EUROSAT_CONTROL, name, "mlp_head")
                for name in ("cache", "kernel_ridge", "hma_head", "head_knn")
            ],
        ),
        (
            "to be better than `head` ({}; `mlp_head` and `cache` {}, `hma_head` {})",
            [Cell(DTD, name) for name in ("head", "mlp_head", "hma_head")],
        ),
        (
            "`head` ({}) but the two that are worse, `knn` and `ncm`; the highest are `ranpac` ({}) and `ridge` ({}), "
            "the memory head has {}.",
            [Cell(WRONG, name) for name in ("head", "ranpac", "ridge", "hma_head")],
        ),
        (
            "better than `head` ({}, {}) and nothing else is; `head_knn` has {}, `hma_head` {}.",
            [Cell(CIFAR100, name) for name in ("mlp_head", "head", "head_knn", "hma_head")],
        ),
        (
            "`hma_head` ({}) and `head_knn` ({}) are better than `head` ({}) and not shown to differ from `mlp_head` "
            "({}), which is better too; `cache` ({}) and all closed forms, the best of which is `lda` ({}), are worse.",
            [Cell(MANY_FLOWERS, name) for name in ("hma_head", "head_knn", "head", "mlp_head", "cache", "lda")],
        ),
        (
            "of twelve methods ({}), before `cache` ({}), `head_knn` ({}), `head` ({}), `hma_head` ({}), "
            "`kernel_ridge` ({}) and `ranpac` ({});",
            [rank(name) for name in ("mlp_head", "cache", "head_knn", "head", "hma_head", "kernel_ridge", "ranpac")],
        ),
        (
            "a class has ten or twenty training images ({}, {} points; five: {}, {})",
            [
                *(difference(FEW.format(number), "head_knn") for number in (10, 20, 5)),
                difference(FEW.format(5), "head_knn", column="verdict"),
            ],
        ),
        (
            "test images are corrupted (noise {}, blur {}, JPEG {}; contrast {}, {})",
            [
                *(difference(CORRUPTED.format(kind), "head_knn") for kind in ("noise", "blur", "jpeg", "contrast")),
                difference(CORRUPTED.format("contrast"), "head_knn", column="verdict"),
            ],
        ),
        (
            "(present only in the memory) ({}); there `knn` alone gains more, {}, and",
            [difference(NEIGHBOURS, method) for method in ("head_knn", "knn")],
        ),
        ("`hma_head` reaches {}, no more than `head` ({})", [Cell(LATER, "hma_head"), Cell(LATER, "head")]),
        (
            "`head` {}, `hma_head` {}, `head_knn` {}, `mlp_head` {}, `hma_head_label` {}, `knn` {}; the last four are",
            [Cell(NOISE, name) for name in ("head", "hma_head", "head_knn", "mlp_head", "hma_head_label", "knn")],
        ),
        (
            "`head` {}, `hma_head` {}, `mlp_head` {}, `knn` {}: the memory head is better than the linear one and",
            [Cell(FLOWERS, name) for name in ("head", "hma_head", "mlp_head", "knn")],
        ),
        (
            "`head_cls` {}, as `head`, and `tokens_standard` {}, {}.",
            [
                Cell(TOKENS, "head_cls"),
                Cell(TOKENS, "tokens_standard"),
                difference(TOKENS, "tokens_standard", column="verdict"),
            ],
        ),
        ("`full` {}, `hma` {}; neither differs significantly", [Cell(FINETUNE, "full"), Cell(FINETUNE, "hma")]),
        (
            "`head` {}, `mlp_head` {}, `knn` {}, `hma_head` {}, no significant difference",
            [Cell(CIFAR, name) for name in ("head", "mlp_head", "knn", "hma_head")],
        ),
    ],
}
# What the sentences say without a figure.
MEMORIES = ("hma_head", "cache", "head_knn", "kernel_ridge")
VERDICTS: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("better", "head", [(EUROSAT, name) for name in ("mlp_head", "cache")]),
    ("not significant", "head", [(EUROSAT, name) for name in ("hma_head", "head_knn", "kernel_ridge")]),
    ("worse", "mlp_head", [(EUROSAT_CONTROL, name) for name in MEMORIES]),
    ("not significant", "head", [(DTD, name) for name in (*MEMORIES, "mlp_head")]),
    ("not significant", "mlp_head", [(DTD_CONTROL, name) for name in MEMORIES]),
    (
        "not significant",
        "head",
        [(WRONG, name) for name in (*MEMORIES, "mlp_head", "ranpac", "ridge", "lda", "logreg")],
    ),
    ("worse", "head", [(WRONG, name) for name in ("knn", "ncm")]),
    ("not significant", "mlp_head", [(WRONG_CONTROL, name) for name in (*MEMORIES, "ranpac")]),
    ("better", "head", [(CIFAR100, "mlp_head")]),
    ("not significant", "head", [(CIFAR100, name) for name in (*MEMORIES, "ranpac", "lda")]),
    ("better", "head", [(MANY_FLOWERS, name) for name in ("hma_head", "mlp_head", "head_knn")]),
    (
        "worse",
        "head",
        [(MANY_FLOWERS, name) for name in ("cache", "knn", "ncm", "ridge", "lda", "logreg", "ranpac", "kernel_ridge")],
    ),
    ("not significant", "mlp_head", [(MANY_FLOWERS_CONTROL, name) for name in ("hma_head", "head_knn")]),
    ("not significant", "mlp_head", [(CIFAR100_CONTROL, name) for name in ("hma_head", "cache", "head_knn")]),
    ("not significant", "head", [(TEXTURES, name) for name in ("hma_head", "hma_head_released", "mlp_head", "knn")]),
    ("better", "head", [(FEW.format(number), "head_knn") for number in (10, 20)]),
    ("better", "head", [(CORRUPTED.format(kind), "head_knn") for kind in ("noise", "blur", "jpeg")]),
    ("better", "head", [(NEIGHBOURS, "head_knn"), (FLOWERS, "hma_head")]),
    ("better", "head", [(NOISE, name) for name in ("head_knn", "mlp_head", "hma_head_label", "knn")]),
    ("worse", "mlp_head", [(FLOWERS_CONTROL, "hma_head")]),
    ("not significant", "head", [(LATER, "hma_head"), (TOKENS, "head_cls"), (FINETUNE, "full"), (FINETUNE, "hma")]),
    ("not significant", "head", [(CIFAR, name) for name in ("mlp_head", "knn", "hma_head")]),
    ("not significant", "full", [(WHOLE, "hma")]),
]
# Columns of README's table.
COLUMNS = {
    "seeds": Cell(EUROSAT, "", "seeds"),
    "test top-1 %": Cell(EUROSAT, ""),
    "95 % (t)": Cell(EUROSAT, "", "95 % (t)"),
    "trainable parameters": Cell(EUROSAT, "", "trainable", "Cost"),
    "peak MiB": Cell(EUROSAT, "", "peak MiB", "Cost"),
}


def read_pages(repository: Path) -> Pages:
    """All tables of the study."""
    pages: Pages = {}
    for path in (repository / "docs").glob("STUDY*.md"):
        for section in path.read_text().split("\n## ")[1:]:
            title, _, text = section.partition("\n")
            parts = re.split(r"^\*\*(.+)\*\*$", text, flags=re.MULTILINE)
            tables = zip(parts[1::2], parts[2::2], strict=True)
            pages[title] = {name: {row["group"]: row for row in rows(text) if "group" in row} for name, text in tables}
    return pages


def rows(text: str) -> list[dict[str, str]]:
    """The first table of a Markdown text; of columns with one title the first counts."""
    lines = re.findall(r"^\|(.*)\|$", text, flags=re.MULTILINE)
    if not lines:
        return []
    head, _, *body = ([cell.strip() for cell in line.split("|")] for line in lines)
    return [dict(reversed(list(zip(head, line, strict=True)))) for line in body]


def look_up(pages: Pages, cell: Cell) -> str:
    return pages[cell.section][cell.table][cell.group][cell.column]


def told(repository: Path, page: str) -> str:
    """The part of a page that tells what was found: all of it, or README's section."""
    text = (repository / page).read_text()
    return text.split("\n## What it shows\n")[1].split("\n## ")[0] if page == README else text


def problems(text: str, page: str, pages: Pages) -> list[str]:
    """What a text says otherwise than the study's pages, and figures that nothing holds to them."""
    table = rows(text)
    found = [problem for row in table for problem in _row_problems(row, pages)]
    if page == README and {row["method"].split("`")[1] for row in table} != set(pages[EUROSAT]["Test top-1"]):
        found.append("the table's methods are not the study's")
    prose = " ".join(re.sub(r"^\|.*\|$", "", text, flags=re.MULTILINE).split())
    for sentence, cells in CLAIMS[page]:
        expected = sentence.format(*(look_up(pages, cell) for cell in cells))
        if expected not in prose:
            found.append(f"not said: {expected}")
        prose = prose.replace(expected, "")
    return found + [f"held to nothing: {figure}" for figure in FIGURE.findall(prose)]


def _row_problems(row: dict[str, str], pages: Pages) -> list[str]:
    group = row["method"].split("`")[1]
    expected = {name: look_up(pages, cell._replace(group=group)) for name, cell in COLUMNS.items()}
    low, high = expected["95 % (t)"].split(" to ")
    if low == high:
        expected["95 % (t)"] = ""  # without width
    expected["against `head`"] = ""
    if group != "head":
        cells = (difference(EUROSAT, group, column=column) for column in ("difference, points", "95 %", "verdict"))
        expected["against `head`"] = "{} ({}): {}".format(*(look_up(pages, cell) for cell in cells))
    return [f"{group}, {name}: {row[name]} is not {text}" for name, text in expected.items() if row[name] != text]


@pytest.fixture(scope="module")
def pages(repository: Path) -> Pages:
    return read_pages(repository)


@pytest.mark.parametrize(("page", "figures"), [(README, 35), (FINDINGS, 25)])
def test_every_figure_is_that_of_its_row_and_column(page: str, figures: int, repository: Path, pages: Pages) -> None:
    text = told(repository, page)
    assert len(FIGURE.findall(text)) > figures
    assert problems(text, page, pages) == []


@pytest.mark.parametrize(("verdict", "baseline", "compared"), VERDICTS)
def test_what_is_said_of_differences_is_their_verdict(
    verdict: str, baseline: str, compared: Sequence[tuple[str, str]], pages: Pages
) -> None:
    cells = [difference(section, group, baseline, "verdict") for section, group in compared]
    assert {cell: look_up(pages, cell) for cell in cells} == dict.fromkeys(cells, verdict)


@pytest.mark.parametrize("page", CLAIMS)
def test_two_figures_that_change_places_are_noticed(page: str, repository: Path, pages: Pages) -> None:
    """Each figure with the next one that differs, wherever they stand."""
    text = told(repository, page)
    for first, second in itertools.pairwise(FIGURE.finditer(text)):
        if first[0] != second[0]:
            middle = text[first.end() : second.start()]
            swapped = text[: first.start()] + second[0] + middle + first[0] + text[second.end() :]
            assert problems(swapped, page, pages), f"{first[0]} and {second[0]}"


@pytest.mark.parametrize(
    ("page", "said", "instead"),
    [
        (README, "not significant", "better"),
        (README, "| `mlp_head`", "| `knn`"),
        (README, "| 636 |", "| 637 |"),
        (FINDINGS, "not significant", "better"),
        (FINDINGS, "`hma_head` 68.41", "`hma_head` 68.41, 0.55 more"),
    ],
)
def test_what_changes_is_noticed(page: str, said: str, instead: str, repository: Path, pages: Pages) -> None:
    text = told(repository, page)
    assert said in text
    assert problems(text.replace(said, instead, 1), page, pages)
