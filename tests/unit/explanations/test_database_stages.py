"""Each stage at which a database cannot be used: what is certain, and what are candidates."""

from __future__ import annotations

import pytest

from roles.database.kinds.faults import _STAGES, Report, Target, fault_of

TARGET = Target("db:5432", "u", "d", "prefer")
#: Stage; class, SQLSTATE and text of the error; words of the cause; words of the fix.
CASES = [
    ("driver", ("ModuleNotFoundError", "", "No module named 'asyncpg'"), "damaged, or was made without it", "deploy"),
    ("name", ("gaierror", "", "[Errno -2] Name or service not known"), "does not know it or does not", "getent hosts"),
    ("port", ("ConnectionRefusedError", "", "refused"), "listen_addresses), or a firewall", "ss -ltnp"),
    ("port", ("TimeoutError", "", "timed out"), "the address is wrong, or that host is down", "ss -ltn"),
    ("login", ("TimeoutError", "", ""), "another program is listening there, a proxy, or", "psql"),
    ("login", ("X", "XX000", "odd"), "", "psql"),
    ("facts", ("X", "57014", "canceling statement"), "", "psql"),
    ("schema", ("X", "42501", "permission denied"), "most likely another role owns the database", "OWNER TO"),
    ("schema", ("X", "25006", "read-only"), "a standby, or default_transaction_read_only", "pg_is_in_recovery()"),
    ("schema", ("X", "3F000", "no schema"), "was dropped, or search_path does not include it", "CREATE SCHEMA"),
    ("extension", ("X", "0A000", "is not available"), "the contrib package is missing, or", "postgresql-contrib"),
    ("extension", ("X", "42501", "permission denied"), "requires a superuser or", "CREATE EXTENSION pg_trgm"),
]


@pytest.mark.parametrize(("stage", "error", "cause", "fix"), CASES)
def test_a_stage_says_its_cause(stage: str, error: tuple[str, str, str], cause: str, fix: str) -> None:
    found = fault_of(Report(stage, {}, *error), TARGET)
    assert found is not None and cause in found.cause and fix in found.fix
    assert bool(cause) == bool(found.cause)


def test_every_stage_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(_STAGES)
