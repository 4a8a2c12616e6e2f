"""What the Postgres kinds say of a host: fresh, converged, changed by hand, down."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from encamp.resources.base import Failure, Refused, Resource
from encamp.resources.postgres import hba_file as hba
from encamp.resources.postgres.cluster import PostgresCluster
from encamp.resources.postgres.database import PostgresDatabase
from encamp.resources.postgres.extension import PostgresExtension
from encamp.resources.postgres.hba_rule import PostgresHbaRule
from encamp.resources.postgres.role import PostgresRole
from encamp.resources.postgres.scram import verifier
from encamp.shared.secret import Secret
from tests.unit.resources.postgres.double import ANSWER, CONFIG, DATA, RUNNING, PostgresHost

SERVER: list[Resource] = [
    PostgresCluster(listen_addresses=("localhost",), port=5432),
    PostgresRole("prefect"),
    PostgresDatabase("prefect", "prefect"),
    PostgresExtension("plpgsql", "prefect"),
    PostgresHbaRule("socket", "local", "prefect", "prefect"),
]


def changes(resource: Resource, host: Any) -> list[str]:
    return [str(change) for change in resource.check(host)]


def answering(**parts: Any) -> PostgresHost:
    """A running host whose psql gives other values in the given parts."""
    return PostgresHost(RUNNING, {**copy.deepcopy(ANSWER), **parts})


def test_a_fresh_host_lacks_everything_and_runs_nothing() -> None:
    host = PostgresHost({})
    assert [changes(resource, host) for resource in SERVER] == [
        ["cluster: absent -> running"],
        ["role: absent -> present"],
        ["database: absent -> owned by prefect"],
        ["extension: absent -> present in prefect"],
        ["rule: absent -> local prefect prefect peer"],
    ]
    assert host.queries == []


def test_a_converged_host_costs_one_psql_and_one_for_each_database_with_extensions() -> None:
    host = PostgresHost(RUNNING)
    assert [changes(resource, host) for resource in SERVER] == [[]] * 5
    assert changes(PostgresRole("other"), host) and changes(PostgresExtension("plpgsql", "postgres"), host) == []
    assert len(host.queries) == 3


def test_a_cluster_that_is_down_is_no_empty_cluster() -> None:
    host = PostgresHost({**RUNNING, f"{DATA}/postmaster.pid": ""})
    assert changes(PostgresCluster(), host) == ["service: down -> running"]
    with pytest.raises(Failure, match="15/main is not running"):
        changes(PostgresRole("prefect"), host)


def test_a_cluster_that_does_not_answer() -> None:
    host = PostgresHost(RUNNING)
    host.error = 'psql: error: FATAL:  pg_hba.conf rejects connection for host "[local]", user "postgres"'
    with pytest.raises(Failure, match="does not answer") as caught:
        changes(PostgresCluster(), host)
    assert "pg_hba.conf" in caught.value.cause


def test_boot_and_settings_of_a_cluster() -> None:
    host = PostgresHost({**RUNNING, f"{CONFIG}/start.conf": "manual  # for now\n"})
    wanted = PostgresCluster(listen_addresses=("localhost", "10.0.0.5"), port=5433)
    assert changes(wanted, host) == [
        "boot: disabled -> enabled",
        "listen_addresses: localhost -> localhost, 10.0.0.5",
        "port: 5432 -> 5433",
    ]
    assert changes(PostgresCluster(), PostgresHost(RUNNING)) == []


def test_no_second_cluster_beside_an_existing_one() -> None:
    with pytest.raises(Refused, match="15/main, but not other"):
        changes(PostgresCluster("other"), PostgresHost(RUNNING))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, ["password: none -> set"]),
        (verifier("right", b"0123456789abcdef"), []),
        (verifier("wrong", b"0123456789abcdef"), ["password: another -> set"]),
        ("md59d8a121ce581499d6cbd1ac4ad5d8f22", ["password: another -> set"]),
    ],
)
def test_passwords_are_compared_with_the_stored_verifier(stored: str | None, expected: list[str]) -> None:
    host = answering(roles={"prefect": {"login": True, "verifier": stored, "settings": None}})
    assert changes(PostgresRole("prefect", Secret("right")), host) == expected
    assert changes(PostgresRole("prefect"), host) == []


def test_login() -> None:
    assert changes(PostgresRole("prefect", login=False), PostgresHost(RUNNING)) == ["login: yes -> no"]


def test_settings_of_a_role_are_added_to_those_that_it_has() -> None:
    role = {"login": True, "verifier": None, "settings": ["work_mem=8MB", "jit=on"]}
    wanted = PostgresRole("prefect", settings={"jit": "off"})
    assert changes(wanted, answering(roles={"prefect": role})) == ["setting jit: off"]
    assert changes(wanted, answering(roles={"prefect": {**role, "settings": ["jit=off", "work_mem=8MB"]}})) == []
    _, stdin = applied(wanted, {**ANSWER, "roles": {"prefect": role}})
    assert "ALTER ROLE \"prefect\" SET jit = 'off';" in stdin.reveal()


def test_a_database_of_another_owner_or_encoding() -> None:
    host = answering(databases={"prefect": {"owner": "postgres", "encoding": "SQL_ASCII"}})
    assert changes(PostgresDatabase("prefect", "prefect", "sql-ascii"), host) == ["owner: postgres -> prefect"]
    with pytest.raises(Refused, match="SQL_ASCII, not UTF8"):
        changes(PostgresDatabase("prefect", "prefect"), host)


class Applying(PostgresHost):
    """Keeps what would be run."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        super().__init__(RUNNING, answer)
        self.ran: list[tuple[tuple[str, ...], Any]] = []

    def run(self, argv: Any, stdin: Any = "", **_: Any) -> Any:
        self.ran.append((tuple(argv), stdin))


def applied(resource: Resource, answer: dict[str, Any] | None = None) -> tuple[tuple[str, ...], Any]:
    """The one command that applying ``resource`` runs, and its standard input."""
    host: Any = Applying(answer)
    resource.apply(host, resource.check(host))
    (command,) = host.ran
    return command  # type: ignore[no-any-return]


def test_a_password_reaches_the_server_only_as_a_verifier_on_standard_input() -> None:
    argv, stdin = applied(PostgresRole('o"dd', Secret("it's secret")))
    assert isinstance(stdin, Secret)
    assert 'CREATE ROLE "o""dd" LOGIN PASSWORD \'SCRAM-SHA-256$4096:' in stdin.reveal()
    assert "secret" not in stdin.reveal() and "SCRAM" not in " ".join(argv)
    assert stdin.reveal().index("log_statement") < stdin.reveal().index("CREATE ROLE")


def test_a_new_salt_each_time_and_the_server_s_iterations() -> None:
    answer = {**ANSWER, "settings": {**ANSWER["settings"], "scram_iterations": "10"}}
    first, second = (applied(PostgresRole("new", Secret("x")), answer)[1].reveal() for _ in range(2))
    assert first != second and "SCRAM-SHA-256$10:" in first


def test_a_new_database_gets_a_locale_that_goes_with_its_encoding() -> None:
    ascii_cluster = {**ANSWER, "databases": {"template0": {"owner": "postgres", "encoding": "SQL_ASCII"}}}
    statement = 'CREATE DATABASE "d" OWNER "o" TEMPLATE template0 ENCODING \'UTF8\''
    assert applied(PostgresDatabase("d", "o"))[1] == f"{statement};"
    assert applied(PostgresDatabase("d", "o"), ascii_cluster)[1] == (
        f"{statement} LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';"
    )


def test_an_extension_is_made_in_its_database() -> None:
    argv, stdin = applied(PostgresExtension("pg_trgm", "prefect"))
    assert "dbname='prefect'" in argv[-1]
    assert 'CREATE EXTENSION IF NOT EXISTS "pg_trgm"' in stdin


def test_equal_extensions_in_two_databases_are_two_resources() -> None:
    assert PostgresExtension("x", "a").id != PostgresExtension("x", "b").id


RULE = PostgresHbaRule("net", "host", "prefect", "prefect", "10.1.2.3/8", "scram-sha-256")
ROW = {
    "type": "host",
    "database": ["prefect"],
    "user_name": ["prefect"],
    "address": "10.0.0.0",
    "netmask": "255.0.0.0",
    "auth_method": "scram-sha-256",
    "options": None,
    "error": None,
}


def with_block(above: bytes = b"", mtime: float = 900, rows_above: tuple[Any, ...] = ()) -> PostgresHost:
    """A running host whose pg_hba.conf has the block with RULE, under lines of somebody else."""
    data = above + hba.with_rule(b"local all all peer\n", "net", RULE.line)
    own = {**ROW, "line_number": hba.parse(data).numbers["net"]}
    answer = {**ANSWER, "hba": [*rows_above, own, {**ANSWER["hba"][0], "line_number": 99}]}
    return PostgresHost({**RUNNING, f"{CONFIG}/pg_hba.conf": data.decode()}, answer, mtime)


def test_a_rule_in_the_block() -> None:
    assert changes(RULE, with_block()) == []
    other = PostgresHbaRule("net", "host", "prefect", "prefect", "10.9.0.0/16", "scram-sha-256")
    (change,) = changes(other, with_block())
    assert change == f"rule: {RULE.line} -> host prefect prefect 10.9.0.0/16 scram-sha-256"


def test_a_file_that_the_server_has_not_read_yet() -> None:
    assert changes(RULE, with_block(mtime=1500)) == ["reload: pending -> done"]
    assert changes(RULE, with_block(mtime=9999)) == []  # a date in the future says nothing


def test_a_rule_of_others_that_came_before_the_block() -> None:
    reject = {**ROW, "database": ["all"], "auth_method": "reject", "line_number": 1}
    (change,) = changes(RULE, with_block(b"host all prefect 10.0.0.0/8 reject\n", rows_above=(reject,)))
    assert change.startswith("position: ")


def test_a_line_of_an_included_file_is_not_ours() -> None:
    included = {**ROW, "auth_method": "reject", "line_number": 3, "file_name": "/etc/postgresql/site_hba.conf"}
    host = with_block(rows_above=(included,))
    assert hba.parse(host.files[f"{CONFIG}/pg_hba.conf"].encode()).numbers["net"] == 3
    (change,) = changes(RULE, host)
    assert change.startswith("position: ")


def test_a_line_of_others_that_postgres_cannot_read() -> None:
    broken = {**ROW, "type": None, "line_number": 7, "error": "end-of-line before role specification"}
    with pytest.raises(Refused, match="line 7: end-of-line"):
        changes(RULE, answering(hba=[broken]))


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"connection": "locall"}, "connection must be"),
        ({"method": "scram"}, "method must be"),
        ({"address": "10.0.0.0/8"}, "must not have an address"),
        ({"connection": "host", "method": "md5"}, "needs an address"),
        ({"connection": "host", "method": "md5", "address": "10.0.0.0/99"}, "is not an address"),
        ({"connection": "host", "address": "all"}, "local connections only"),
        ({"method": "md5"}, "lock out"),
        ({"user": "a\nhost all all all trust"}, "unprintable"),
        ({"user": "/^p"}, "pattern"),
        ({"options": ("map",)}, "name=value"),
    ],
)
def test_rules_that_are_wrong_in_themselves(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PostgresHbaRule("bad", **fields)


@pytest.mark.parametrize("password", ["", "a\0b"])
def test_passwords_that_postgres_cannot_have(password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        PostgresRole("r", Secret(password))
