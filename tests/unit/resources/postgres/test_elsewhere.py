"""Postgres for other hosts: what is raised and never lowered, and rules that go when nobody needs them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from encamp.resources.base import Refused, Resource
from encamp.resources.postgres import hba_file as hba
from encamp.resources.postgres.expectation import PostgresExpectation
from encamp.resources.postgres.hba_prune import PostgresHbaOnly
from encamp.resources.postgres.settings import PostgresSettings
from tests.unit.resources.postgres.double import ANSWER, CONFIG, RUNNING, PostgresHost


def changes(resource: Resource, host: Any) -> list[str]:
    return [str(change) for change in resource.check(host)]


def with_settings(**settings: Any) -> PostgresHost:
    answer = copy.deepcopy(ANSWER)
    answer["settings"].update(settings)
    return PostgresHost(RUNNING, answer)


@pytest.mark.parametrize(
    ("now", "wanted", "change"),
    [
        ("localhost", ("*",), ["listen_addresses: localhost -> *"]),
        (
            "localhost, 10.0.0.5",
            ("10.0.0.6",),
            ["listen_addresses: localhost, 10.0.0.5 -> localhost, 10.0.0.5, 10.0.0.6"],
        ),
        ("", ("10.0.0.6",), ["listen_addresses: none -> 10.0.0.6"]),
        ("10.0.0.6,localhost", ("localhost", "10.0.0.6"), []),
        ("*", ("10.0.0.6",), []),
        ("localhost", (), []),
    ],
)
def test_addresses_are_added_and_none_is_taken_away(now: str, wanted: tuple[str, ...], change: list[str]) -> None:
    assert changes(PostgresSettings("main", wanted), with_settings(listen_addresses=now)) == change


def test_connections_are_raised_and_never_lowered() -> None:
    assert changes(PostgresSettings("main", (), 150), with_settings()) == ["max_connections: 100 -> 150"]
    assert changes(PostgresSettings("main", (), 80), with_settings()) == []
    assert changes(PostgresSettings("main", ("*",)), PostgresHost({})) == ["listen_addresses: no cluster yet -> *"]


def test_a_cluster_with_another_port_is_refused() -> None:
    with pytest.raises(Refused, match="has port 5432, but its clients use 5433") as caught:
        changes(PostgresExpectation("main", 5433), with_settings())
    assert "postgres_port: 5432" in caught.value.fix
    assert changes(PostgresExpectation("main", 5432), with_settings()) == []
    assert changes(PostgresExpectation("main", 5433, 999), PostgresHost({})) == []


def test_a_cluster_without_room_is_refused_unless_it_is_raised() -> None:
    tight = with_settings(max_connections="20", reserved_connections="2")
    assert changes(PostgresExpectation("main", 0, 15), tight) == []
    with pytest.raises(Refused, match=r"max_connections = 20 .* of which 5 .* the 16 connections") as caught:
        changes(PostgresExpectation("main", 0, 16), tight)
    assert "postgres_max_connections: 21" in caught.value.fix
    assert changes(PostgresExpectation("main", 0, 16, 30), tight) == []


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
