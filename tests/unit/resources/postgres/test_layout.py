"""Which cluster is meant, and whether it runs, from files alone."""

from __future__ import annotations

from typing import Any

import pytest

from encamp.resources.base import Refused
from encamp.resources.postgres.layout import find
from encamp.resources.postgres.unfinished import is_unfinished
from tests.unit.resources.postgres.double import CONFIG, DATA, PID, RUNNING, PostgresHost


def host(changed: dict[str, str] | None = None, without: tuple[str, ...] = ()) -> Any:
    files = {**RUNNING, **(changed or {})}
    return PostgresHost({path: text for path, text in files.items() if not path.startswith(without or "?")})


def test_a_running_cluster() -> None:
    cluster = find(host(), "main")
    assert cluster is not None and cluster.running
    assert (cluster.label, cluster.port, cluster.socket, cluster.owner) == (
        "15/main",
        5432,
        "/run/postgresql",
        "postgres",
    )
    assert (cluster.data, cluster.unit) == (DATA, "postgresql@15-main.service")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({f"{DATA}/postmaster.pid": PID.replace("ready", "starting")}, "starting"),
        ({f"{DATA}/postmaster.pid": "4711\n"}, "starting"),
        ({"/proc/4711/stat": "4711 (postgres) Z 1 4711"}, "down"),
        ({"/proc/4711/stat": "4711 (sshd) S 1 4711"}, "down"),
        ({f"{DATA}/postmaster.pid": ""}, "down"),
    ],
)
def test_what_is_no_ready_server(changed: dict[str, str], status: str) -> None:
    cluster = find(host(changed), "main")
    assert cluster is not None and cluster.status == status


def test_a_server_without_its_socket_counts_as_down() -> None:
    cluster = find(host(without=("/run/postgresql",)), "main")
    assert cluster is not None and not cluster.running


def test_of_two_versions_the_one_on_the_standard_port_counts() -> None:
    newer = {
        "/usr/lib/postgresql/17/bin/postgres": "",
        "/etc/postgresql/17/main/postgresql.conf": "port = 5433\n",
        "/var/lib/postgresql/17/main/PG_VERSION": "17\n",
    }
    cluster = find(host(newer), "main")
    assert cluster is not None and cluster.version == "15"
    moved = {**newer, f"{CONFIG}/postgresql.conf": "port = 5434\n", f"{DATA}/postmaster.pid": ""}
    cluster = find(host(moved), "main")
    assert cluster is not None and cluster.version == "17"


def test_the_port_that_alter_system_set_counts() -> None:
    altered = {f"{DATA}/postgresql.auto.conf": "# Do not edit\nport = '5444'\n", f"{DATA}/postmaster.pid": ""}
    cluster = find(host(altered), "main")
    assert cluster is not None and cluster.port == 5444


def test_none() -> None:
    assert find(host(without=("/etc/postgresql", "/var/lib/postgresql")), "main") is None
    assert find(host(without=("/usr/lib",)), "main") is None


def unfinished(**parts: Any) -> bool:
    machine = host(**parts)
    cluster = find(machine, "main")
    assert cluster is not None
    return is_unfinished(machine, cluster)


STOPPED = {f"{DATA}/postmaster.pid": ""}
NEVER_RAN = f"{DATA}/postmaster.opts"


def test_whole_clusters_are_left_alone() -> None:
    assert not unfinished()
    assert not unfinished(changed=STOPPED)
    assert not unfinished(changed=STOPPED, without=(NEVER_RAN,))


def test_what_a_cut_off_initdb_leaves() -> None:
    assert unfinished(without=(CONFIG, f"{DATA}/base/4", f"{DATA}/base/5", NEVER_RAN, f"{DATA}/postmaster.pid"))
    assert unfinished(changed=STOPPED, without=(f"{CONFIG}/environment", NEVER_RAN))
    # adopted and started by Debian's scripts
    assert unfinished(without=(f"{DATA}/base/4", f"{DATA}/base/5"))


def test_data_is_never_taken_for_leftovers() -> None:
    half = (f"{DATA}/base/4", f"{DATA}/base/5")
    assert not unfinished(changed={f"{DATA}/base/16384/1": ""}, without=half)
    assert not unfinished(changed={f"{DATA}/pg_tblspc/16400": ""}, without=half)
    assert not unfinished(changed={f"{DATA}/backup_label": ""}, without=half)
    with pytest.raises(Refused, match="contains data"):
        unfinished(changed=STOPPED, without=(CONFIG,))
    with pytest.raises(Refused, match="is empty"):
        unfinished(changed={"/var/lib/postgresql/15/lost+found/x": ""}, without=(DATA,))


def test_a_server_without_the_database_postgres_is_hollow_only_when_unused() -> None:
    for used, expected in ((False, True), (True, None)):
        machine = host()
        machine.error = 'psql: error: FATAL:  database "postgres" does not exist'
        answers = machine.query

        def query(argv: Any, answers: Any = answers, machine: Any = machine, used: bool = used, **rest: Any) -> Any:
            machine.error = "" if "template1" in argv[-1] else 'FATAL:  database "postgres" does not exist'
            machine.answer = {"whole": False, "used": used}
            return answers(argv, **rest)

        machine.query = query
        cluster = find(machine, "main")
        assert cluster is not None
        if expected:
            assert is_unfinished(machine, cluster)
        else:
            with pytest.raises(Exception, match="does not answer"):
                is_unfinished(machine, cluster)
