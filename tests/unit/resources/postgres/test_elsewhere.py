"""Postgres for other hosts: what is raised and never lowered, and rules that go when nobody needs them."""

from __future__ import annotations

from typing import Any

from encamp.resources.base import Resource
from encamp.resources.postgres import hba_file as hba
from encamp.resources.postgres.hba_prune import PostgresHbaOnly
from tests.unit.resources.postgres.double import ANSWER, CONFIG, RUNNING, PostgresHost


def changes(resource: Resource, host: Any) -> list[str]:
    return [str(change) for change in resource.check(host)]


def with_rules(*names: str, mtime: float = 900) -> PostgresHost:
    data = b"# theirs\nlocal all all peer\n"
    for name in names:
        data = hba.with_rule(data, name, f"host a a 10.0.0.{len(name)}/32 scram-sha-256")
    return PostgresHost({**RUNNING, f"{CONFIG}/pg_hba.conf": data.decode()}, ANSWER, mtime)


def test_only_declared_rules_of_ours_stay() -> None:
    host = with_rules("prefect: a", "prefect: bb", "other")
    assert changes(PostgresHbaOnly("prefect: ", ("prefect: a", "prefect: bb")), host) == []
    assert changes(PostgresHbaOnly("prefect: ", ("prefect: a",)), host) == [
        "rule: host a a 10.0.0.11/32 scram-sha-256 -> removed"
    ]
    assert changes(PostgresHbaOnly("prefect: "), PostgresHost({})) == []


def test_a_removal_that_the_server_has_not_read_yet() -> None:
    assert changes(PostgresHbaOnly("prefect: "), with_rules(mtime=1500)) == ["reload: pending -> done"]


def test_the_last_rule_takes_the_block_with_it() -> None:
    theirs = b"# theirs\nlocal all all peer\n"
    one = hba.with_rule(theirs, "x", "host a a 10.0.0.1/32 scram-sha-256")
    two = hba.with_rule(one, "y", "host b b 10.0.0.2/32 scram-sha-256")
    assert hba.without_rules(two, ["y"]) == one
    assert hba.without_rules(two, ["x", "y"]) == theirs
