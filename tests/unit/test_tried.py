"""docs/tried.md names a test that is there for each of its rows, or says that one was tried by hand, or not at all."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.checkout import CHECKOUT

TESTS = CHECKOUT / "tests"
REFERENCE = re.compile(r"`([^`]+)`")
WITHOUT_TEST = ("tried by hand", "not tried")


def rows() -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of each row of a table, without heads and the titles between rows."""
    lines = (CHECKOUT / "docs" / "tried.md").read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.strip().strip("|").split(" |")]
        is_head = number < len(lines) and lines[number].startswith("|---")
        if line.startswith("| ") and not is_head and any(cells[1:]):
            yield number, cells


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """What can be named in a file: the functions of a module of tests, the cases of a file of cases."""
    text = path.read_text("utf-8")
    if path.suffix == ".py":
        return frozenset(node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef))
    found = yaml.load(text, yaml.BaseLoader)
    return frozenset(found.get("cases", found))


def problem(reference: str) -> str:
    """What is wrong with ``FILE::NAME``, or a file alone where it is one sample; empty where nothing is."""
    place, _, name = reference.partition("::")
    path = TESTS / place
    if not path.is_file():
        return f"tests/{place} is not there"
    if not name:
        return "" if path.parent.name == "samples" else f"{reference}: which test of it?"
    return "" if name in names_in(path) and (path.suffix != ".py" or name.startswith("test_")) else f"no {reference}"


def test_each_row_names_a_test_that_is_there() -> None:
    wrong = []
    for number, cells in rows():
        references = REFERENCE.findall(cells[-1])
        wrong += [f"docs/tried.md:{number}: {found}" for found in map(problem, references) if found]
        if not references and not cells[-1].startswith(WITHOUT_TEST):
            wrong.append(f"docs/tried.md:{number}: {cells[-1]!r} names no test")
    assert not wrong, "\n".join(wrong)


def test_the_table_is_read_at_all() -> None:
    found = list(rows())
    assert len(found) > 100 and {len(cells) for _, cells in found} == {4}


@pytest.mark.parametrize(
    "reference",
    [
        "unit/test_tried.py::test_that_is_nowhere",
        "unit/test_tried.py::problem",
        "unit/test_tried.py",
        "unit/test_gone.py::test_x",
        "unit/resources/cases/accounts/user.yaml::a case that is nowhere",
        "unit/inventory/samples/gone.yaml",
    ],
)
def test_what_is_not_there_is_found(reference: str) -> None:
    assert problem(reference)
