"""What the Postgres kinds say of a host: fresh, converged, changed by hand, down."""

from __future__ import annotations

from typing import Any

from encamp.resources.base import Resource
from encamp.resources.postgres import hba_file as hba
from encamp.resources.postgres.cluster import PostgresCluster
from encamp.resources.postgres.database import PostgresDatabase
from encamp.resources.postgres.extension import PostgresExtension
from encamp.resources.postgres.hba_rule import PostgresHbaRule
from encamp.resources.postgres.role import PostgresRole
from encamp.shared.secret import Secret
from tests.unit.resources.postgres.double import ANSWER, CONFIG, RUNNING, PostgresHost

SERVER: list[Resource] = [
    PostgresCluster(listen_addresses=("localhost",), port=5432),
    PostgresRole("prefect"),
    PostgresDatabase("prefect", "prefect"),
    PostgresExtension("plpgsql", "prefect"),
    PostgresHbaRule("socket", "local", "prefect", "prefect"),
]


def changes(resource: Resource, host: Any) -> list[str]:
    return [str(change) for change in resource.check(host)]


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
