"""Brings the Postgres of a container to the host's own: dumped, and restored in one transaction."""

from __future__ import annotations

from typing import Mapping

from encamp.resources.base import Failure
from encamp.resources.postgres.database import PostgresDatabase
from encamp.resources.postgres.extension import PostgresExtension
from encamp.resources.postgres.layout import Cluster
from encamp.resources.postgres.sql import conninfo, identifier
from encamp.resources.postgres.state import State, ask, execute, read_state
from encamp.resources.system import Reader, System
from encamp.shared.record import record

#: Leaves out what older releases of psql and Postgres do not know, and what only a superuser may do.
_FILTER = r"""import re, sys
inside = False
for line in sys.stdin.buffer:
    if inside:
        inside = line != b"\\.\n"
    elif line.startswith(b"COPY ") and line.rstrip().endswith(b"FROM stdin;"):
        inside = True
    elif re.match(rb"\\(un)?restrict |SET transaction_timeout|COMMENT ON EXTENSION|CREATE EXTENSION", line):
        continue
    sys.stdout.buffer.write(line)
"""


@record
class Database:
    """The database that receives the data: in the host's ``cluster``; ``owner`` is its role, and a user of the host."""

    name: str
    cluster: str
    owner: str


def is_filled(host: Reader, database: Database) -> bool:
    """Whether it has Prefect's tables. Raises Failure for a Postgres that does not answer."""
    state = read_state(host, database.cluster)
    if state is None or not state.cluster.running or database.name not in state.databases:
        return False
    query = "SELECT to_json(to_regclass('public.alembic_version') IS NOT NULL);"
    return bool(ask(host, state.cluster, query, database.name))


def restore(host: System, data: Mapping[str, str], database: Database, folder: str) -> None:
    """Dump the database that ``data`` names in its container, and restore it as the role that owns the new one.

    ``folder`` is root's, for the dump. Raises Failure, with ``database`` as it was, or empty.
    """
    _set_aside(host, database)
    cluster = _state(host, database).cluster
    dump = f"{folder}/dump.sql"
    host.progress(f"dumping {data['database']} from container {data['container']}")
    words = ["docker", "exec", data["container"], "pg_dump", "--no-owner", "--no-acl"]
    script = 'set -o pipefail; umask 077; "$@" | python3 -I -c "$FILTER" > "$DUMP"'
    host.run(
        ["bash", "-c", script, "dump", *words, "-U", data["user"], "-d", data["database"]],
        env={"FILTER": _FILTER, "DUMP": dump},
        timeout=3600,
    )
    try:
        host.progress(f"restoring into {database.name}")
        text = 'exec runuser -u "$OWNER" -- "$@" < "$DUMP"'
        host.run(
            ["bash", "-c", text, "restore", *_psql(cluster, database), "--single-transaction", "-o", "/dev/null"],
            env={"OWNER": database.owner, "DUMP": dump},
            timeout=3600,
        )
    finally:
        host.remove(dump)


def _psql(cluster: Cluster, database: Database) -> list[str]:
    target = conninfo(host=cluster.socket, port=cluster.port, user=database.owner, dbname=database.name)
    return [f"{cluster.programs}/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", target]


def _set_aside(host: System, database: Database) -> None:
    """Keep what an earlier takeover brought, which was undone or cut off, under another name, and make an empty one."""
    if not is_filled(host, database):
        return
    state = _state(host, database)
    names = (f"{database.name}_before_{number}" for number in range(1, 1000))
    aside = next(name for name in names if name not in state.databases)
    extensions = ask(host, state.cluster, "SELECT json_agg(extname) FROM pg_extension;", database.name)
    execute(
        host,
        database.cluster,
        f"ALTER DATABASE {identifier(database.name)} RENAME TO {identifier(aside)};",
        cause=f"programs are connected to {database.name}",
        fix="`SELECT pid, usename, application_name FROM pg_stat_activity` shows them: end them, then deploy again",
    )
    host.note(f"the database {database.name} of an earlier takeover is kept as {aside}")
    empty = PostgresDatabase(database.name, owner=state.databases[database.name].owner, cluster=database.cluster)
    empty.apply(host, empty.check(host))
    for name in extensions or ():
        extension = PostgresExtension(name, database.name, cluster=database.cluster)
        if extension.check(host):
            extension.apply(host, extension.check(host))


def _state(host: Reader, database: Database) -> State:
    """Raises Failure: an earlier step of the same deploy makes the cluster."""
    state = read_state(host, database.cluster)
    if state is None:
        raise Failure(f"there is no Postgres cluster {database.cluster} on this host")
    return state
