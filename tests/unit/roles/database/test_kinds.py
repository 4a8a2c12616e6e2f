"""The looks at a database before a server starts: what is asked when, what each answer means, and SQLite's file."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from encamp.resources.base import Failure, Refused
from encamp.resources.system import Result, Stat
from encamp.shared.secret import Secret
from roles.database.kinds import faults, limits
from roles.database.kinds.probe import DatabaseProbe
from roles.database.kinds.script import SCRIPT
from roles.database.kinds.sqlite import SqliteDatabase

URL = Secret("postgresql+asyncpg://u:hidden@db:5432/d")
ENV = "/etc/prefect/default/server.env"
FACTS = {
    "version": 150018,
    "max": 100,
    "reserved": 3,
    "others": 0,
    "role_limit": -1,
    "database_limit": -1,
    "encrypted": True,
    "encoding": "UTF8",
    "foreign_owner": None,
}
DONE = {"stage": "done", "facts": FACTS, "error": None}
EXTERNAL = faults.Target("db:5432", "u", "d", "prefer")
MANAGED = faults.Target("db:5432", "u", "d", "prefer", "db1")
SHOW = """Id=prefect-server.service
LoadState=loaded
UnitFileState=enabled
ActiveState={state}
SubState=running
NeedDaemonReload=no
NRestarts=0
InactiveExitTimestampMonotonic={begun}
ActiveEnterTimestampMonotonic={begun}
MainPID=4711
Result=success
ExecMainStatus=0
"""


class ProbeHost:
    """A host with a unit, its environment file, and a Python that answers for the database."""

    def __init__(self, told: Any = DONE, state: str = "active", text: str = "", written: float = 60) -> None:
        self.told, self.state, self.text, self.written = told, state, text, written
        self.asked: list[tuple[list[str], str]] = []
        self.notes: list[str] = []

    def once(self, key: str, read: Any) -> Any:
        return read()

    def read(self, path: str) -> bytes | None:
        return self.text.encode() if path == ENV else None

    def stat(self, path: str) -> Stat:
        return Stat("file", 0o640, "root", "prefect", 1, time.time() - self.written)

    def query(self, argv: list[str], stdin: Any = "", **_: Any) -> Result:
        if argv[0] == "systemctl":
            begun = int((time.monotonic() - 30) * 1e6)
            return Result(tuple(argv), 0, SHOW.format(state=self.state, begun=begun), "")
        assert isinstance(stdin, Secret)
        self.asked.append((argv, stdin.reveal()))
        return Result(tuple(argv), 0, self.told if isinstance(self.told, str) else json.dumps(self.told), "")

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, text: str) -> None:
        pass


def probe(**fields: Any) -> DatabaseProbe:
    given: dict[str, Any] = {"unit": "prefect-server.service", "environment": ENV, "host": "db", "user": "u"}
    return DatabaseProbe("default", URL, dsn=Secret("dsn:hidden"), database="d", **{**given, **fields})


IN_USE = f"PREFECT_SERVER_DATABASE_CONNECTION_URL={URL.reveal()}\n"


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        (ProbeHost(text=IN_USE), False),
        (ProbeHost(text=IN_USE, state="failed"), True),
        (ProbeHost(text=IN_USE, state="activating"), True),
        (ProbeHost(text=IN_USE, written=5), True),
        (ProbeHost(text="PREFECT_SERVER_DATABASE_CONNECTION_URL=other\n"), True),
        (ProbeHost(), True),
    ],
    ids=["in use", "failed", "starting", "written since", "another url", "new"],
)
def test_nothing_is_asked_while_the_server_runs_with_this_very_url(host: Any, asked: bool) -> None:
    one = probe()
    assert bool(one.check(host)) == asked and host.asked == []
    if asked:
        one.apply(host, ())
        ((argv, stdin),) = host.asked
        assert "hidden" not in " ".join(argv) and json.loads(stdin)["dsn"] == "dsn:hidden"
        assert one.check(host) == []


def test_an_answer_that_is_none() -> None:
    host: Any = ProbeHost("Traceback\n")
    with pytest.raises(Failure, match="returned no result"):
        probe().apply(host, ())


@pytest.mark.parametrize(
    ("stage", "error", "reason", "fix"),
    [
        ("driver", ("ModuleNotFoundError", "", "x"), "no asyncpg", "deploy"),
        ("name", ("gaierror", "", "[Errno -2]"), "cannot resolve db, the name of the database host", "getent"),
        ("port", ("ConnectionRefusedError", "", "refused"), "nothing is listening at db:5432", "ss -ltnp"),
        ("port", ("TimeoutError", "", "timed out"), "no response from db:5432: timed out", "firewall"),
        ("login", ("X", "28P01", 'password authentication failed for user "u"'), "refuses the login of u", "encoded"),
        ("login", ("X", "28000", 'no pg_hba.conf entry for host "10.0.0.7", user'), "from 10.0.0.7", "10.0.0.7/32"),
        ("login", ("X", "28000", 'role "u" does not exist'), "has no role u", "CREATE ROLE"),
        (
            "login",
            ("X", "28000", "connection requires a valid client certificate"),
            "client certificate",
            "database_cert_file",
        ),
        ("login", ("X", "3D000", 'database "d" does not exist'), "has no database d", "CREATE DATABASE"),
        ("login", ("X", "42501", "permission denied for database"), "may not connect", "GRANT CONNECT"),
        ("login", ("X", "53300", "sorry, too many clients already"), "no free connection", "raise"),
        ("login", ("X", "57P03", "the database system is starting up"), "starting or stopping", "wait"),
        (
            "login",
            ("ConnectionError", "", "PostgreSQL server at x rejected SSL upgrade"),
            "does not offer TLS",
            "ssl = on",
        ),
        (
            "login",
            ("SSLCertVerificationError", "", "CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch"),
            "for a different name",
            "database_tls_check_hostname",
        ),
        (
            "login",
            ("SSLCertVerificationError", "", "[X] certificate verify failed: certificate has expired (_ssl.c:1)"),
            "not currently valid",
            "renew",
        ),
        (
            "login",
            ("SSLCertVerificationError", "", "CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable (_ssl.c:1)"),
            "authority that this host trusts: unable",
            "database_ca_file",
        ),
        ("login", ("TimeoutError", "", ""), "accepts connections, but the login fails: TimeoutError", "psql"),
        ("schema", ("X", "42501", "permission denied for schema public"), "may not create tables", "OWNER TO"),
        ("schema", ("X", "25006", "read-only transaction"), "is read-only", "primary"),
        ("schema", ("X", "3F000", "no schema has been selected"), "has no schema that u can use", "CREATE SCHEMA"),
        ("extension", ("X", "0A000", "is not available"), "pg_trgm, which Prefect needs, is not", "contrib"),
        ("extension", ("X", "42501", "permission denied"), "may not create the extension", "CREATE EXTENSION pg_trgm"),
    ],
)
def test_every_failure_has_a_plain_reason_and_a_fix(
    stage: str, error: tuple[str, str, str], reason: str, fix: str
) -> None:
    found = faults.fault_of(faults.Report(stage, {}, *error), EXTERNAL)
    assert found is not None and reason in found.reason and fix in found.fix
    assert faults.fault_of(faults.Report(stage, {}, *error), MANAGED) is not None


def test_where_encamp_keeps_the_database_a_deploy_of_its_host_is_the_fix() -> None:
    found = faults.fault_of(faults.Report("port", {}, "ConnectionRefusedError", "", ""), MANAGED)
    assert found is not None and "fab -H db1 deploy" in found.fix
    text = 'no pg_hba.conf entry for host "10.0.0.7", user'
    found = faults.fault_of(faults.Report("login", {}, "X", "28000", text), MANAGED)
    assert found is not None and "database_client_address: 10.0.0.7" in found.fix


@pytest.mark.parametrize(
    ("facts", "connections", "version", "tls", "reason"),
    [
        ({}, 97, 0, "prefer", ""),
        ({}, 98, 0, "prefer", "may open 98 connections to db:5432, but max_connections = 100 leaves 97 for them"),
        ({"role_limit": 4}, 16, 0, "prefer", "the role's CONNECTION LIMIT = 4 leaves 4 for them"),
        ({"version": 140008}, 16, 140009, "prefer", "is 14.8; several servers that share a database need 14.9"),
        ({"foreign_owner": "old"}, 16, 0, "prefer", "are owned by old"),
        ({"encrypted": False}, 16, 0, "require", "is not encrypted"),
        ({"encrypted": False}, 16, 0, "prefer", ""),
    ],
)
def test_what_is_offered_is_enough_or_not(
    facts: dict[str, Any], connections: int, version: int, tls: str, reason: str
) -> None:
    target = faults.Target("db:5432", "u", "d", tls)
    found = limits.fault_of({**FACTS, **facts}, target, connections, version)
    assert reason in found.reason if found else not reason


def test_what_is_told_of_a_database_that_will_do() -> None:
    told = "".join(limits.notes({**FACTS, "others": 90, "encoding": "LATIN1"}, EXTERNAL, 16))
    assert "LATIN1" in told and "other clients hold 90 connections" in told
    assert list(limits.notes(FACTS, EXTERNAL, 16)) == []
    host: Any = ProbeHost({**DONE, "facts": {**FACTS, "others": 90}})
    probe(connections=16).apply(host, ())
    assert len(host.notes) == 1


def test_the_program_is_python_of_every_release_and_tells_what_stops_it() -> None:
    compile(SCRIPT, "probe", "exec")
    order = {"host": "db.invalid", "port": 1, "timeout": 1}
    stub = "import sys, types; sys.modules['asyncpg'] = types.ModuleType('asyncpg')\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", stub + SCRIPT], input=json.dumps(order).encode(), capture_output=True
    )
    told = json.loads(done.stdout)
    assert (told["stage"], told["error"]["type"]) == ("name", "gaierror"), done.stderr


# -- SQLite ----------------------------------------------------------------------------------------------------------


class SqliteHost:
    """The real files of this machine, as their own owner."""

    def __init__(self, mounts: str = "") -> None:
        self.mounts, self.notes, self.owned = mounts, [], []  # type: tuple[str, list[str], list[str]]

    def stat(self, path: str) -> Stat | None:
        if not os.path.lexists(path):
            return None
        found = os.lstat(path)
        kind = "directory" if os.path.isdir(path) else "file"
        return Stat(kind, found.st_mode & 0o777, "me", "me", found.st_size, found.st_mtime)

    def read(self, path: str) -> bytes:
        assert path == "/proc/mounts"
        return self.mounts.encode()

    def set_owner(self, path: str, owner: str, group: str) -> None:
        self.owned.append(path)

    def set_mode(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def run(self, argv: list[str], as_user: str = "", **_: Any) -> None:
        assert as_user == "me"
        subprocess.run(argv, check=True)

    def note(self, text: str) -> None:
        self.notes.append(text)


def sqlite(path: Path) -> SqliteDatabase:
    return SqliteDatabase(str(path / "prefect.db"), "me", "me", sys.executable, "one writer")


def test_a_new_file_is_in_wal_mode_and_private(tmp_path: Path) -> None:
    host: Any = SqliteHost()
    one = sqlite(tmp_path)
    one.apply(host, one.check(host))
    assert one.check(host) == [] and host.notes == ["one writer"]
    assert os.stat(one.path).st_mode & 0o777 == 0o600
    connection = sqlite3.connect(one.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_existing_file_keeps_its_data(tmp_path: Path) -> None:
    host: Any = SqliteHost()
    one = sqlite(tmp_path)
    connection = sqlite3.connect(one.path)
    connection.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (42);")
    connection.close()
    os.chmod(one.path, 0o644)
    changes = one.check(host)
    assert [str(change) for change in changes] == [
        f"mode of {one.path}: 0644 -> 0600",
        "journal mode: rollback journal -> wal",
    ]
    one.apply(host, changes)
    assert one.check(host) == []
    assert sqlite3.connect(one.path).execute("SELECT x FROM t").fetchone() == (42,)


def test_what_cannot_hold_it_is_refused(tmp_path: Path) -> None:
    host: Any = SqliteHost(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    with pytest.raises(Refused, match=r"network file system \(nfs4\)"):
        sqlite(tmp_path).check(host)
    (tmp_path / "prefect.db").write_text("something else entirely")
    (tmp_path / "prefect.db").chmod(0o600)
    plain: Any = SqliteHost()
    with pytest.raises(Refused, match="not a SQLite database"):
        sqlite(tmp_path).check(plain)
    (tmp_path / "prefect.db").unlink()
    (tmp_path / "prefect.db").mkdir()
    with pytest.raises(Refused, match="is a directory"):
        sqlite(tmp_path).check(plain)
