"""The state of a host's Postgres: one psql process reads all that the Postgres kinds compare."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional, Union

from encamp.resources.base import CommandFailed, Failure
from encamp.resources.postgres import layout
from encamp.resources.postgres.layout import Cluster
from encamp.resources.postgres.sql import conninfo
from encamp.resources.system import Reader, Result, System
from encamp.shared.record import record
from encamp.shared.secret import Secret

#: search_path: functions and operators of the databases' owners are never called.
_ENVIRONMENT = {
    "PGCLIENTENCODING": "UTF8",
    "PGAPPNAME": "encamp",
    "PGOPTIONS": "-c search_path=pg_catalog -c client_min_messages=warning -c lock_timeout=30s",
}
_SETTINGS = (
    *("listen_addresses", "port", "hba_file", "scram_iterations"),
    *("max_connections", "superuser_reserved_connections", "reserved_connections"),
)
_READ = f"""SELECT json_build_object(
  'roles', (SELECT json_object_agg(rolname, json_build_object('login', rolcanlogin, 'verifier', rolpassword,
                  'settings', (SELECT setconfig FROM pg_db_role_setting WHERE setrole = role.oid AND setdatabase = 0)))
            FROM pg_authid role),
  'databases', (SELECT json_object_agg(datname, json_build_object(
                  'owner', pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding))) FROM pg_database),
  'settings', json_build_object({", ".join(f"'{name}', current_setting('{name}', true)" for name in _SETTINGS)}),
  'hba', (SELECT json_agg(rule) FROM pg_hba_file_rules rule),
  'loaded', extract(epoch FROM pg_conf_load_time()),
  'now', extract(epoch FROM clock_timestamp()));"""


@record
class Role:
    """A role: whether it may log in, its stored password verifier (None: no password), and the settings of its
    sessions, each as ``name=value``."""

    login: bool
    verifier: Optional[Secret]
    settings: tuple[str, ...] = ()


@record
class Database:
    """A database's owner and encoding."""

    owner: str
    encoding: str


@record
class State:
    """The state of a running cluster, from one psql.

    ``hba`` are the rows of ``pg_hba_file_rules``, in the file's order. ``loaded`` is when the server last read its
    configuration, ``now`` its clock (both seconds since 1970).
    """

    cluster: Cluster
    roles: Mapping[str, Role]
    databases: Mapping[str, Database]
    settings: Mapping[str, str]
    hba: tuple[Mapping[str, Any], ...]
    loaded: float
    now: float


def read_state(host: Reader, cluster: str) -> Optional[State]:
    """The state of the cluster ``cluster``; None if it does not exist yet.

    Read once for all resources. Raises Failure when the cluster exists but does not answer.
    """
    return host.once(f"postgres {cluster}", lambda: _read_state(host, cluster))


def _role(fields: Mapping[str, Any]) -> Role:
    verifier = Secret(fields["verifier"]) if fields["verifier"] else None
    return Role(fields["login"], verifier, tuple(fields["settings"] or ()))


def _read_state(host: Reader, name: str) -> Optional[State]:
    cluster = layout.find(host, name)
    if cluster is None:
        return None
    data = ask(host, cluster, _READ)
    roles = {role: _role(fields) for role, fields in data["roles"].items()}
    databases = {name: Database(**fields) for name, fields in data["databases"].items()}
    settings = {name: value or "" for name, value in data["settings"].items()}
    return State(cluster, roles, databases, settings, tuple(data["hba"] or ()), data["loaded"], data["now"])


def ask(host: Reader, cluster: Cluster, sql: str, database: str = "postgres") -> Any:
    """Run a query that returns one JSON value; None for NULL. Raises Failure."""
    answer = host.query(_psql(cluster, database), stdin=sql, env=_ENVIRONMENT, as_user=cluster.owner)
    if not answer.ok:
        raise _unanswered(cluster, answer)
    try:
        return json.loads(answer.out.strip() or "null")
    except ValueError:
        raise Failure(f"the Postgres cluster {cluster.label} sent an answer that is not JSON") from None


def execute(
    host: System, cluster_name: str, sql: Union[str, Secret], database: str = "postgres", cause: str = "", fix: str = ""
) -> None:
    """Run statements that change something. Raises Failure, also when the cluster does not exist."""
    cluster = layout.find(host, cluster_name)
    if cluster is None:
        raise Failure(
            f"Postgres cluster {cluster_name} does not exist on this host",
            "no earlier resource of the role creates it",
            "declare a PostgresCluster before its roles and databases",
        )
    argv = _psql(cluster, database)
    try:
        host.run(argv, stdin=sql, env=_ENVIRONMENT, as_user=cluster.owner)
    except CommandFailed as error:
        if error.result.code != 3:  # 3: the server rejected a statement
            raise _unanswered(cluster, error.result) from None
        complaint = error.result.err.strip().partition("ERROR:")[2].strip() or error.result.tail
        reason = f"Postgres rejected a statement: {complaint.splitlines()[0] if complaint else 'no reason given'}"
        raise Failure(reason, cause, fix, error.result.tail) from None


def scram_iterations(state: State) -> int:
    """Hash iterations for a new password: the server's setting from version 16 on, 4096 before."""
    return int(state.settings["scram_iterations"] or 4096)


def _psql(cluster: Cluster, database: str) -> list[str]:
    """psql itself, not Debian's wrapper; no .psqlrc, no prompt, over the Unix socket.

    Raises Failure while the server is down.
    """
    if not cluster.running:
        doing = "is still starting" if cluster.status == "starting" else "is not running"
        raise Failure(
            f"the Postgres cluster {cluster.label} {doing}",
            fix=f"check `systemctl status {cluster.unit}` and {cluster.log}",
        )
    target = conninfo(host=cluster.socket, port=cluster.port, user=cluster.owner, dbname=database, connect_timeout=10)
    return [f"{cluster.programs}/psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", target]


def _unanswered(cluster: Cluster, answer: Result) -> Failure:
    """The failure of a psql without an answer, with its cause."""
    cause = fix = ""
    if answer.code == 127:
        cause, fix = "psql is missing", "install the Postgres client programs (postgresql-client)"
    elif "authentication failed" in answer.err or "pg_hba.conf" in answer.err:
        cause = f"pg_hba.conf does not allow the user {cluster.owner} over the Unix socket"
        fix = f"put `local all {cluster.owner} peer` first in its pg_hba.conf and reload it"
    elif "too many clients" in answer.err or "remaining connection slots" in answer.err:
        cause, fix = "all its connections are in use", "close some, or raise max_connections"
    return Failure(f"the Postgres cluster {cluster.label} does not answer", cause, fix, answer.tail)
