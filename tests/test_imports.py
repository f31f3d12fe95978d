"""Modules import one way: no circle, and the package knows nothing of its analysis."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGES = ("hma_ft", "analysis")


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a file; a package's is that of its folder."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that are run when a module is imported; blocks of TYPE_CHECKING are not."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            if "TYPE_CHECKING" not in ast.dump(statement.test):
                yield from statements(statement.body)
            yield from statements(statement.orelse)
        elif isinstance(statement, ast.Try):
            yield from statements(statement.body + statement.orelse + statement.finalbody)
            for handler in statement.handlers:
                yield from statements(handler.body)
        elif isinstance(statement, ast.With | ast.ClassDef):
            yield from statements(statement.body)


def imports_of(path: Path, known: set[str]) -> set[str]:
    """Modules of the repository that a file imports as it is imported itself."""
    found = set()
    for statement in statements(ast.parse(path.read_text()).body):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{path}: a relative import"
            assert statement.module is not None
            inner = {f"{statement.module}.{alias.name}" for alias in statement.names} & known
            found |= inner if len(inner) == len(statement.names) else inner | {statement.module}
    return found & known


@pytest.fixture(scope="module")
def graph() -> dict[str, set[str]]:
    """Imports of each module."""
    root = Path(__file__).resolve().parents[1]
    files = {module_name(path, root): path for package in PACKAGES for path in (root / package).rglob("*.py")}
    assert len(files) > 200
    return {name: imports_of(path, set(files)) - {name} for name, path in files.items()}


def test_no_modules_import_in_a_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def test_the_package_does_not_import_its_analysis(graph: dict[str, set[str]]) -> None:
    for name, imported in graph.items():
        if name.startswith("hma_ft"):
            assert not [other for other in imported if other.startswith("analysis")], name
