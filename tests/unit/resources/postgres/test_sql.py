"""Names and values on their way into SQL and connection strings."""

from __future__ import annotations

import pytest

from encamp.resources.postgres.sql import conninfo, identifier, literal, require_name


def test_identifiers_are_always_quoted() -> None:
    assert identifier("prefect") == '"prefect"'
    assert identifier('we"ird; DROP') == '"we""ird; DROP"'
    assert identifier("a\\b") == '"a\\b"'


def test_literals() -> None:
    assert literal("it's") == "'it''s'"
    assert literal("back\\slash's") == " E'back\\\\slash''s'"
    assert literal("") == "''"


def test_a_connection_string_holds_any_name() -> None:
    assert conninfo(dbname="a=b host=x", port=5432) == "dbname='a=b host=x' port='5432'"
    assert conninfo(dbname="it's\\") == "dbname='it\\'s\\\\'"


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "ü" * 32])
def test_names_that_postgres_cannot_hold(name: str) -> None:
    with pytest.raises(ValueError, match="Postgres"):
        require_name("role", name)


def test_the_longest_name() -> None:
    require_name("role", "ü" * 31 + "x")
